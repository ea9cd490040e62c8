SELECT s.carrier, date_trunc('month', s.left_on) AS month, count(*) AS shipments,
       round(avg(s.days), 2) AS mean_days, quantile_disc(s.days, 0.95) AS p95_days,
       round(sum(s.cost), 2) AS cost, count(*) FILTER (d.holiday_in <> '') AS left_on_a_holiday
FROM {{ staging('service.shipments') }} AS s
LEFT JOIN {{ staging('reference.days') }} AS d ON d.day = s.left_on
GROUP BY ALL
