"""Recorded orders are checked before any is placed, and keep their rhythm."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from restaurant.models import Order
from restaurant.pacing import at_recorded_rhythm
from restaurant.replay import MAX_LINE, BadLine, read_line, recorded, survey

GOOD = {"placed_at": "2026-11-23T10:00:00Z", "items": [{"name": "burger", "quantity": 2}]}
RAMEN = {"name": "Ramen", "quantity": 1, "unit_price": 9.95, "preparation_time": 8}


def _written(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "orders.jsonl"
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw) + b"\n")
    return path


def _fail(cause: BadLine) -> None:
    raise cause


def test_what_is_on_the_menu_has_the_menus_price_and_the_rest_its_own() -> None:
    body = {**GOOD, "items": [{"name": "Veggie burger", "quantity": 3}, RAMEN], "note": "hot"}
    request = read_line(json.dumps(body).encode(), 1).request
    veggie, ramen = request.lines
    assert (veggie.name, veggie.unit_price, veggie.quantity) == (
        "veggie-burger",
        Decimal("4.10"),
        3,
    )
    assert (ramen.name, ramen.title, ramen.preparation_time) == ("Ramen", "Ramen", 8)
    assert ramen.unit_price == Decimal("9.95")
    assert request.note == "hot"


@pytest.mark.parametrize("price", [9.95, "9.95", "9.950"])
def test_a_price_is_exact_however_it_is_written(price: Any) -> None:
    body = {**GOOD, "items": [{**RAMEN, "unit_price": price}]}
    assert read_line(json.dumps(body).encode(), 1).request.lines[0].unit_price == Decimal("9.95")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "Expecting"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "object"),
        (b"x" * (MAX_LINE + 1), "longer than"),
        ({"items": GOOD["items"]}, "placed_at"),
        ({**GOOD, "placed_at": "yesterday"}, "yesterday"),
        ({**GOOD, "placed_at": 17}, "placed_at"),
        ({**GOOD, "items": []}, "empty"),
        ({**GOOD, "items": ["burger"]}, "object"),
        ({**GOOD, "items": [{"name": "burger"}]}, "quantity"),
        ({**GOOD, "items": [{"name": "burger", "quantity": True}]}, "quantity"),
        ({**GOOD, "items": [{"name": "burger", "quantity": 0}]}, "quantity"),
        ({**GOOD, "items": [{"name": "Ramen", "quantity": 1}]}, "not on the menu"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": "dear"}]}, "dear"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": [1]}]}, "unit_price"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": 0.005}]}, "cent"),
        ({**GOOD, "items": [{**RAMEN, "preparation_time": 1.5}]}, "whole"),
        ({**GOOD, "note": 5}, "note"),
        ({**GOOD, "note": "x" * 501}, "note"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(
    tmp_path: Path, line: Any, reason: str
) -> None:
    path = _written(tmp_path, GOOD, b"", line, GOOD)
    with pytest.raises(BadLine, match="line 3: ") as bad:
        survey(path)
    assert reason in str(bad.value)
    found = survey(path, skip_bad=True)
    assert (found.orders, found.bad) == (2, 1)


def test_orders_keep_their_distance_times_the_speed(tmp_path: Path) -> None:
    moments = ["10:00:00", "10:00:01.5", "10:00:01", "10:01:00"]
    lines = [{**GOOD, "placed_at": f"2026-11-23T{moment}+00:00"} for moment in moments]
    path = _written(tmp_path, *lines)
    due = at_recorded_rhythm(recorded(path, on_bad=_fail), speed=10)
    assert [one.after_s for one in due] == pytest.approx([0, 0.15, 0.1, 6])


def _replay(path: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("rush", "--replay", str(path), "--wait", "0", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_file_is_replayed(tmp_path: Path) -> None:
    later = {**GOOD, "placed_at": "2026-11-23T10:00:30Z", "items": [RAMEN], "note": "hot"}
    begun = monotonic()
    assert "placed 2 orders" in _replay(_written(tmp_path, GOOD, later), "--speed", "300")
    assert monotonic() - begun >= 30 / 300
    first, second = Order.objects.order_by("id")
    assert (first.total_price, second.total_price) == (Decimal("7.00"), Decimal("9.95"))
    assert second.note == "hot"


@pytest.mark.django_db
def test_a_file_with_a_bad_line_places_nothing_unless_told_to_skip_it(tmp_path: Path) -> None:
    path = _written(tmp_path, GOOD, {**GOOD, "items": []})
    with pytest.raises(CommandError, match="line 2: items is empty; nothing was placed"):
        _replay(path)
    assert not Order.objects.exists()
    said = _replay(path, "--skip-bad")
    assert "1 orders, 1 bad lines skipped" in said
    assert Order.objects.count() == 1
