"""What the demo's table `flights` holds: flights that left New York City, and columns that are hard to archive.

Numbers of unlimited digits, JSON, arrays and intervals are kept as PostgreSQL's exact text.
"""

from typing import Annotated

import pandera.polars as pa
import polars as pl


class Flights(pa.DataFrameModel):
    """One row a flight."""

    id: pl.Int64 = pa.Field(unique=True)
    departed_at: Annotated[pl.Datetime, "us", "UTC"]
    carrier: pl.String = pa.Field(str_matches=r"^[A-Z0-9]{2}$")
    flight: pl.Int32 = pa.Field(gt=0)
    tailnum: pl.String = pa.Field(nullable=True)
    origin: pl.String = pa.Field(isin=["EWR", "JFK", "LGA"])
    dest: pl.String = pa.Field(str_matches=r"^[A-Z]{3}$")
    dep_delay: pl.Float64 = pa.Field(nullable=True)  # minutes, as are the next two
    arr_delay: pl.Float64 = pa.Field(nullable=True)
    air_time: pl.Float64 = pa.Field(nullable=True, gt=0)
    distance: pl.Int32 = pa.Field(gt=0)  # miles
    fare: Annotated[pl.Decimal, 12, 4] = pa.Field(nullable=True)
    co2_kg: pl.String = pa.Field(nullable=True)  # numeric without limits
    details: pl.String = pa.Field(nullable=True)  # jsonb
    booking_ref: pl.String = pa.Field(nullable=True)  # uuid
    tags: pl.String = pa.Field(nullable=True)  # text[]
    duration: pl.String = pa.Field(nullable=True)  # interval
