-- What a customer is worth: how often they ordered, for how much, and when they last did.
SELECT *, ntile(4) OVER (ORDER BY amount, customer_id) AS quartile
FROM (
    SELECT c.customer_id, c.name, c.country,
           count(DISTINCT o.order_id) AS orders,
           max(o.ordered_on) AS last_order,
           round(coalesce(sum(i.amount), 0), 2) AS amount
    FROM {{ staging('sales.customers') }} AS c
    LEFT JOIN {{ staging('sales.orders') }} AS o ON o.customer_id = c.customer_id AND o.status <> 'cancelled'
    LEFT JOIN {{ staging('sales.order_items') }} AS i USING (order_id)
    GROUP BY ALL
)
