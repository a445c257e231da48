"""Column types that carry the domain's values without loss."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from keeper.domain.errors import InputError

WEI_DIGITS = 78
"""Decimal digits of the largest uint256."""


class WeiNumeric(TypeDecorator[int]):
    """NUMERIC(78,0) in the database, an exact Python int outside; never a float, never rounded."""

    impl = Numeric(WEI_DIGITS, 0)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy calls it so
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError("amount", value, "Give money as a Python int in wei.")
        if abs(value) >= 10**WEI_DIGITS:
            raise InputError("amount", value, f"Amounts have at most {WEI_DIGITS} digits.")
        return Decimal(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy calls it so
        return None if value is None else int(value)
