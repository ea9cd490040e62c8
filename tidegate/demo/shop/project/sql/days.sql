-- One row a day: what a euro was in dollars and pounds, and in which countries the day was a holiday.
SELECT r.day,
       max(r.rate) FILTER (r.currency = 'USD') AS usd,
       max(r.rate) FILTER (r.currency = 'GBP') AS gbp,
       coalesce(any_value(h.countries), '') AS holiday_in
FROM {{ raw('bank.rates') }} AS r
LEFT JOIN (
    SELECT CAST(date AS DATE) AS day, string_agg(country, ' ' ORDER BY country) AS countries
    FROM {{ raw('calendar.holidays') }} GROUP BY ALL
) AS h ON h.day = r.day
GROUP BY r.day
