SELECT customer_id, (SELECT max(ordered_on) FROM {{ staging('sales.orders') }}) - last_order AS days_since_last_order,
       orders, amount, quartile
FROM {{ consume('bi.customer_value') }}
WHERE last_order IS NOT NULL
