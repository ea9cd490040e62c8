-- What will run out before the supplier can deliver, at the pace of the last 30 days.
WITH sold AS (
    SELECT i.product_id, sum(i.quantity) / 30 AS a_day
    FROM {{ staging('sales.order_items') }} AS i
    JOIN {{ staging('sales.orders') }} AS o USING (order_id)
    WHERE o.ordered_on > (SELECT max(ordered_on) FROM {{ staging('sales.orders') }}) - 30
    GROUP BY ALL
)
SELECT p.sku, p.title, s.name AS supplier, k.pieces, round(sold.a_day, 2) AS sold_a_day, s.lead_time_days,
       p.lot AS pieces_to_order
FROM sold
JOIN {{ staging('catalog.products') }} AS p USING (product_id)
JOIN {{ staging('catalog.stock') }} AS k USING (sku)
JOIN {{ staging('catalog.suppliers') }} AS s USING (supplier_id)
WHERE k.pieces < sold.a_day * s.lead_time_days
ORDER BY p.sku
