-- Sales by day and country, in euros at the day's rate; what was cancelled is no sale.
SELECT o.ordered_on AS day,
       coalesce(c.country, '??') AS country,
       count(DISTINCT o.order_id) AS orders,
       round(sum(i.amount / CASE o.currency WHEN 'USD' THEN d.usd WHEN 'GBP' THEN d.gbp ELSE 1 END), 2) AS sales_eur
FROM {{ staging('sales.orders') }} AS o
JOIN {{ staging('sales.order_items') }} AS i USING (order_id)
JOIN {{ staging('reference.days') }} AS d ON d.day = o.ordered_on
LEFT JOIN {{ staging('sales.customers') }} AS c USING (customer_id)
WHERE o.status <> 'cancelled'
GROUP BY ALL
