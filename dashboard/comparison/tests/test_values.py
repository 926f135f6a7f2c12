"""Tokens of values: equal when the values are, and with hashes that nobody can choose."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.values import Tokens, token_of_decimal

#: Whole numbers that Python hashes alike.
ALIKE = [number * (2**61 - 1) for number in range(1, 1001)]


@pytest.mark.parametrize(
    "values",
    [
        ALIKE,
        [[number] for number in ALIKE],
        [{"a": number} for number in ALIKE],
        [(2**61 - 1) * 2.0**number for number in range(900)],
        [number * 2.0**-1074 for number in range(1, 1001)],
    ],
    ids=["whole", "in lists", "in objects", "large", "small"],
)
def test_the_tokens_of_a_hostile_documents_numbers_have_hashes_of_their_own(
    values: list[Any],
) -> None:
    tokens = Tokens()
    assert len({hash(tokens.of(value)) for value in values}) > len(values) * 0.99


def test_so_have_those_of_decimals() -> None:
    assert len({hash(token_of_decimal(Decimal(number))) for number in ALIKE}) > 990


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 9))
def test_a_decimal_has_one_token_however_it_is_spelled(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    spelled = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
    assert token_of_decimal(spelled) == token_of_decimal(number)
    assert token_of_decimal(number + 1) != token_of_decimal(number) or number + 1 == number
