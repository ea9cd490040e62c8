SELECT p.product_id, p.title, p.category, sum(i.quantity) AS pieces, round(sum(i.quantity * p.margin), 2) AS margin,
       round(avg(r.rating), 1) AS rating
FROM {{ staging('sales.order_items') }} AS i
JOIN {{ staging('catalog.products') }} AS p USING (product_id)
LEFT JOIN (
    SELECT product_id, avg(rating) AS rating FROM {{ staging('service.reviews') }} GROUP BY ALL
) AS r USING (product_id)
GROUP BY ALL ORDER BY margin DESC, product_id LIMIT 20
