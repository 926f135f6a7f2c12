"""Recorded orders are all checked before one is placed, and keep their pace."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from restaurant import replay
from restaurant.models import Order
from restaurant.pacing import at_recorded_pace
from restaurant.replay import MAX_LINE, BadLine, read_line, recorded, rereadable, survey

GOOD = {"placed_at": "2026-11-23T10:00:00Z", "items": [{"name": "burger", "quantity": 2}]}
RAMEN = {"name": "Ramen", "quantity": 1, "unit_price": 9.95, "preparation_time": 8}


def _priced(price: str) -> bytes:
    """A line with a price as it stands in the file."""
    text = json.dumps({**GOOD, "items": [{**RAMEN, "unit_price": "@"}]})
    return text.replace('"@"', price).encode()


def _placed(*moments: str) -> list[dict[str, Any]]:
    """Lines of orders that were placed at these times."""
    return [{**GOOD, "placed_at": moment} for moment in moments]


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
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b"[" * 100_000, "object"),
        (b"[]", "object"),
        (b"x" * (MAX_LINE + 1), "longer than"),
        ({"items": GOOD["items"]}, "placed_at"),
        ({**GOOD, "placed_at": "yesterday"}, "placed_at"),
        ({**GOOD, "placed_at": 17}, "placed_at"),
        ({**GOOD, "placed_at": "2026-11-23"}, "placed_at"),
        ({**GOOD, "placed_at": "2206-11-23T10:00:00Z"}, "2206-11-23T10:00:00+00:00 is not from"),
        ({**GOOD, "placed_at": "0001-01-01T00:00:00+23:59"}, "is not from 2000 to now"),
        ({**GOOD, "placed_at": "9999-12-31T23:59:59-23:59"}, "is not from 2000 to now"),
        ({**GOOD, "invoice_id": 5}, "unknown field `invoice_id`"),
        ({**GOOD, "items": [{**RAMEN, "vat": 5}]}, "unknown field `vat` - at `$.items[0]`"),
        ({**GOOD, "items": []}, "empty"),
        ({**GOOD, "items": ["burger"]}, "object"),
        ({**GOOD, "items": [{"name": "burger"}]}, "quantity"),
        ({**GOOD, "items": [{"name": "burger", "quantity": True}]}, "quantity"),
        ({**GOOD, "items": [{"name": "burger", "quantity": 0}]}, "quantity"),
        ({**GOOD, "items": [{"name": "Ramen", "quantity": 1}]}, "not on the menu"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": "dear"}]}, "dear"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": [1]}]}, "unit_price"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": 0.005}]}, "cent"),
        ({**GOOD, "items": [{**RAMEN, "unit_price": 1e999}]}, "malformed"),
        (_priced("1e999999999999999999999"), "unit_price: 1e999999999999999999999 is not a price"),
        (_priced("1e3"), "unit_price: 1e3 is not a price"),
        (_priced("-0.0"), "unit_price: -0.0 is not a price"),
        (_priced('"1_0"'), 'unit_price: "1_0" is not a price'),
        (_priced('"\\u0661"'), "is not a price"),
        (_priced('" 9.95"'), "is not a price"),
        (_priced("9." + "5" * 400), "is not a price"),
        (_priced("1" + "0" * 6000), "is not a price"),
        ({**GOOD, "items": [{**RAMEN, "quantity": 10**30}]}, "quantity"),
        ({**GOOD, "items": [{**RAMEN, "preparation_time": 1.5}]}, "preparation_time"),
        ({**GOOD, "items": [{**RAMEN, "preparation_time": 10**6}]}, "minutes are out of range"),
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
    moments = ["10:00:00", "10:00:01", "12:00:01.5+02:00", "10:00:01.5", "10:01:00"]
    lines = _placed(*(f"2026-11-23T{moment}" for moment in moments))
    path = _written(tmp_path, *lines)
    due = at_recorded_pace(recorded(path, survey(path).period, on_bad=_fail), speed=10)
    assert [one.after_s for one in due] == pytest.approx([0, 0.1, 0.15, 0.15, 6])


@pytest.mark.parametrize(
    ("moments", "bad", "said"),
    [
        # Late, early, too early or too late at the beginning, at the end, half a day ahead.
        (["10:00", "10:02", "10:01", "10:03"], 3, "10:01:00+00:00, before line 2 (2026-11-23T10:"),
        (["10:00", "10:03", "10:01", "10:02"], 2, "10:03:00+00:00, after line 3 (2026-11-23T10:01"),
        (["10:01", "10:00", "10:02"], 2, "before line 1"),
        (["10:00", "10:02", "09:59", "10:03"], 3, "09:59:00+00:00, before line 2 (2026-11-23T10:"),
        (["10:05", "10:00", "10:01"], 1, "after line 2"),
        (["10:00", "10:01", "09:00"], 3, "before line 2"),
        (["10:00", "10:01", "22:00", "10:02", "10:03"], 3, "after line 4"),
    ],
)  # fmt: skip
def test_a_line_out_of_order_is_bad_and_all_others_are_good(
    tmp_path: Path, moments: list[str], bad: int, said: str
) -> None:
    path = _written(tmp_path, *_placed(*(f"2026-11-23T{moment}:00Z" for moment in moments)))
    with pytest.raises(BadLine) as found:
        survey(path)
    assert found.value.number == bad
    assert found.value.reason.startswith("out of order: placed at 2026-11-23T")
    assert said in found.value.reason
    assert survey(path, skip_bad=True).bad == 1


def test_bad_lines_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    late, *good = _placed(*(f"2026-11-23T10:{minute:02}:00Z" for minute in (50, 1, 2, 3, 4, 5)))
    path = _written(tmp_path, late, {}, {}, *good, {}, {}, {})
    with pytest.raises(BadLine, match="line 1: out of order"):
        survey(path)
    found = survey(path, skip_bad=True)
    assert (found.orders, found.bad) == (5, 6)
    assert [reason.partition(":")[0] for reason in found.reasons] == [
        f"line {number}" for number in (1, 2, 3, 9, 10)
    ]


@pytest.mark.parametrize("wrong", ["2016-11-23", "2025-11-23", "2026-09-01"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_lines_of_a_wrong_year_are_bad_wherever_they_are(
    tmp_path: Path, wrong: str, place: int
) -> None:
    lines = _placed(*(f"2026-11-2{day}T10:00:00Z" for day in (1, 2, 3, 4)))
    lines[place:place] = _placed(f"{wrong}T10:00:00Z", f"{wrong}T10:00:01Z")
    path = _written(tmp_path, *lines)
    said = f"line {place + 1}: .*{wrong}.* is more than 31 days from the rest of the recording"
    with pytest.raises(BadLine, match=said):
        survey(path)
    found = survey(path, skip_bad=True)
    assert (found.orders, found.bad) == (4, 2)


def test_a_recording_may_go_over_new_year_and_rest_for_a_month(tmp_path: Path) -> None:
    days = ["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert survey(_written(tmp_path, *_placed(*days))).orders == 3


@given(minutes=st.lists(st.integers(0, 1000), max_size=30))
def test_what_is_left_when_bad_lines_are_skipped_is_in_order(minutes: list[int]) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    lines = _placed(*((start + timedelta(minutes=one)).isoformat() for one in minutes))
    with TemporaryDirectory() as directory:
        path = _written(Path(directory), *lines)
        found = survey(path, skip_bad=True)
        left = [one.placed_at for one in recorded(path, found.period, on_bad=lambda bad: None)]
    assert left == sorted(left)
    assert len(left) == found.orders
    assert found.orders + found.bad == len(minutes)
    assert bool(minutes) == bool(left)
    assert found.bad == 0 or minutes != sorted(minutes)


def test_a_file_of_any_length_takes_no_more_memory(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    start = datetime(2026, 11, 1, tzinfo=UTC)

    def peak(lines: int) -> int:
        with path.open("w") as file:
            for number in range(lines):
                moment = start + timedelta(seconds=number)
                file.write(json.dumps({**GOOD, "placed_at": moment.isoformat()}) + "\n{}\n")
        tracemalloc.start()
        try:
            assert survey(path, skip_bad=True).bad == lines
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)
    few, many = peak(1_000), peak(4_000)
    assert many < 2 * few


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
def test_a_file_with_a_bad_line_places_nothing_unless_it_may_be_skipped(tmp_path: Path) -> None:
    path = _written(tmp_path, GOOD, {**GOOD, "items": []})
    with pytest.raises(CommandError, match="line 2: items is empty; nothing was placed"):
        _replay(path)
    assert not Order.objects.exists()
    said = _replay(path, "--skip-bad")
    assert "1 orders, 1 bad lines skipped" in said
    assert Order.objects.count() == 1


@pytest.mark.django_db
def test_bad_lines_that_are_skipped_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    path = _written(tmp_path, *[GOOD] * 9, *[{**GOOD, "tip": 1}] * 8)
    said = _replay(path, "--skip-bad")
    assert "9 orders, 8 bad lines skipped, the first:\n  line 10: Object contains unknown" in said
    assert said.count("  line ") == 5
    assert Order.objects.count() == 9


@pytest.mark.django_db
def test_a_file_with_more_bad_lines_than_good_ones_is_not_replayed(tmp_path: Path) -> None:
    path = _written(tmp_path, GOOD, *[{**GOOD, "tip": 1}] * 2)
    with pytest.raises(CommandError, match="More lines are bad than good; nothing was placed"):
        _replay(path, "--skip-bad")
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_what_comes_through_a_pipe_is_checked_and_replayed(tmp_path: Path) -> None:
    for lines, placed in (([GOOD, GOOD], 2), ([GOOD, {"items": []}], 0)):
        pipe = tmp_path / f"pipe-{placed}"
        os.mkfifo(pipe)
        raw = "".join(json.dumps(line) + "\n" for line in lines)
        with ThreadPoolExecutor(1) as writer:
            writer.submit(pipe.write_text, raw)
            if placed:
                assert "placed 2 orders" in _replay(pipe)
            else:
                with pytest.raises(CommandError, match=r"line 2: .*; nothing was placed"):
                    _replay(pipe)
    assert Order.objects.count() == 2


@contextmanager
def _stdin(source: int) -> Iterator[None]:
    """Read from somewhere else."""
    before = os.dup(0)
    os.dup2(source, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(source)


def test_stdin_is_read_again_whether_it_is_a_file_or_a_pipe(tmp_path: Path) -> None:
    file = _written(tmp_path, *[GOOD] * 3)
    reading, writing = os.pipe()
    os.write(writing, file.read_bytes())
    os.close(writing)
    for source in (os.open(file, os.O_RDONLY), reading):
        with _stdin(source), rereadable(Path("-")) as path:
            assert (survey(path).orders, survey(path).orders) == (3, 3)


def test_a_pipe_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_PIPE", 3 << 20)
    endless = Path("/dev/zero")
    with pytest.raises(OSError, match="more than 3 MiB from a pipe"), rereadable(endless):
        pytest.fail("it ended")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(CommandError, match="nothing was placed"):
            _replay(path)
