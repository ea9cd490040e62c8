"""Pandera models. One is named in pipelines.yaml as `model: models.shop:Orders`; the project's folder is importable."""

import pandera.polars as pa
import polars as pl


class Orders(pa.DataFrameModel):
    """Orders of the shop, as staging has them."""

    order_id: int = pa.Field(unique=True)
    quantity: pl.Int32 = pa.Field(le=100)
    status: str = pa.Field(isin=["NEW", "PAID", "SHIPPED", "CANCELLED"])
