-- A document a review, to be searched or summarised.
SELECT r.review_id,
       format('{} ({}), rated {} of 5 from {}: {}', p.title, p.category, r.rating, r.country, r.text) AS document
FROM {{ staging('service.reviews') }} AS r
JOIN {{ staging('catalog.products') }} AS p USING (product_id)
