"""The gate of the CSV benchmark: four rules, of which one looks at every value of a text."""

import pandera.polars as pa


class Orders(pa.DataFrameModel):
    """Rows of the benchmark's file; all of them pass."""

    id: int = pa.Field(ge=0)
    price: float = pa.Field(ge=0, lt=100_000)
    quantity: int = pa.Field(ge=0, le=50)
    zip: str = pa.Field(str_matches=r"^[0-9]{5}$")
