-- DuckDB SQL. What stands in braces is a table of the lake: raw('shop.orders'), staging('sales.orders'), consume('bi.…').
-- It also says what has to be built first.
SELECT
    date_trunc('month', o.ordered_at)::date AS month,
    p.category,
    count(*) AS orders,
    sum(o.quantity) AS pieces,
    sum(o.quantity * p.price) AS revenue
FROM {{ staging('sales.orders') }} AS o
JOIN {{ staging('sales.products') }} AS p USING (sku)
WHERE o.status <> 'CANCELLED'
GROUP BY ALL
