"""Limits from the environment, or an error that names the variable."""

from __future__ import annotations

import pytest

from kitchen_worker.contract.limits import limits_from_environ
from kitchen_worker.contract.topology import Limits, QueueType


def test_an_empty_environment_gives_the_defaults() -> None:
    assert limits_from_environ({}) == limits_from_environ({"QUEUE_TYPE": " "}) == Limits()


def test_every_variable_is_read() -> None:
    environ = {
        "QUEUE_TYPE": "quorum",
        "DARK_QUEUE_LENGTH": "5",
        "DARK_QUEUE_TTL_SECONDS": "6",
        "OBSERVER_QUEUE_LENGTH": "7",
        "DEAD_QUEUE_LENGTH": "8",
    }
    assert limits_from_environ(environ) == Limits(
        queue_type=QueueType.QUORUM,
        dark_queue_length=5,
        dark_queue_ttl_ms=6000,
        observer_queue_length=7,
        dead_queue_length=8,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUEUE_TYPE", "stream"),
        ("DARK_QUEUE_LENGTH", "0"),
        ("DARK_QUEUE_LENGTH", "-1"),
        ("DARK_QUEUE_LENGTH", "²"),
        ("DARK_QUEUE_TTL_SECONDS", "2147484"),
        ("OBSERVER_QUEUE_LENGTH", "many"),
        ("DEAD_QUEUE_LENGTH", "9" * 5000),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        limits_from_environ({name: value})
