"""Recorded orders from a JSON Lines file; the whole file is checked before an order is placed.

A bad line can't be parsed, has a time outside the recording, or is out of sequence. To bound
memory, the file is read once for its days, once for the check, and once while orders are placed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from kitchen_worker.contract.messages import EARLIEST, utc_now
from restaurant.menu import BY_NAME
from restaurant.orders import check
from restaurant.pricing import OrderRequest, PricedLine, normalised_name

#: Longest line that is read, in bytes.
MAX_LINE = 256 * 1024
#: Most bytes that are read from a pipe; they are copied to disk, to be read again.
MAX_PIPE = 1 << 30
#: A longer pause in a recording is taken for a wrong year.
MAX_PAUSE = timedelta(days=31)
#: How far another machine's clock may be ahead.
_AHEAD = timedelta(days=1)
#: Number of reasons that are kept for skipped lines.
_REASONS = 5
_CHUNK = 1 << 20

#: Money as the contract writes it.
_MONEY = re.compile(rb'\d{1,9}(\.\d{1,6})?|"\d{1,9}(\.\d{1,6})?"', re.ASCII)
#: A pipe as a file.
_STDIN = Path("/dev/stdin")


class BadLine(ValueError):
    """Raised for an invalid line, with its number and the reason."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded order, when it was placed, and its line number."""

    placed_at: datetime
    request: OrderRequest
    number: int


@dataclass(frozen=True, slots=True)
class Period:
    """The days of a recording."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts of good and bad lines, and the first reasons."""

    orders: int
    bad: int
    reasons: tuple[str, ...]
    period: Period | None


class _RecordedItem(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    quantity: int
    unit_price: msgspec.Raw = msgspec.Raw(b"null")
    preparation_time: int | None = None


class _RecordedLine(msgspec.Struct, forbid_unknown_fields=True):
    placed_at: datetime
    items: list[_RecordedItem]
    note: str | None = None


_DECODER = msgspec.json.Decoder(_RecordedLine)


@contextmanager
def rereadable(path: Path) -> Iterator[Path]:
    """A file that can be read several times: the given one, or a copy of a pipe ("-": stdin)."""
    path = _STDIN if str(path) == "-" else path
    with path.open("rb") as source:
        if stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            yield path
            return
        with tempfile.NamedTemporaryFile() as copy:
            while chunk := source.read(_CHUNK):
                if copy.tell() + len(chunk) > MAX_PIPE:
                    raise OSError(errno.EFBIG, f"more than {MAX_PIPE >> 20} MiB from a pipe")
                copy.write(chunk)
            copy.flush()
            yield Path(copy.name)


def survey(path: Path, *, skip_bad: bool = False) -> Survey:
    """Read the whole file; raises the first BadLine unless they are skipped."""
    days = Counter(one.placed_at.date() for one in _readable(path, _ignore))
    period = _longest(days)
    first: list[BadLine] = []
    bad = 0

    def on_bad(cause: BadLine) -> None:
        nonlocal bad
        bad += 1
        # Lines out of sequence are reported only after the next lines.
        insort(first, cause, key=lambda one: one.number)
        del first[_REASONS:]

    count = sum(1 for _ in recorded(path, period, on_bad=on_bad))
    if first and not skip_bad:
        raise first[0]
    return Survey(orders=count, bad=bad, reasons=tuple(map(str, first)), period=period)


def recorded(
    path: Path, period: Period | None, *, on_bad: Callable[[BadLine], object]
) -> Iterator[Recorded]:
    """The orders of a file, in chronological sequence.

    Of two lines that are out of sequence, the earlier one is bad if the next line also belongs
    before it; otherwise the later one is.
    """
    before: Recorded | None = None
    held: Recorded | None = None
    #: Belongs before ``held`` and after all others; the next line decides which of the two is bad.
    other: Recorded | None = None
    for one in _within(path, period, on_bad):
        if held is None or one.placed_at >= held.placed_at:
            if held is not None:
                yield held
                if other is not None:
                    on_bad(_out_of_order(other, "before", held))
            before, held, other = held, one, None
        elif before is not None and one.placed_at < before.placed_at:
            on_bad(_out_of_order(one, "before", held))
        elif other is None:
            other = one
        else:
            on_bad(_out_of_order(held, "after", other))
            if one.placed_at >= other.placed_at:
                yield other
                before, held, other = other, one, None
            else:
                held, other = other, one
    if held is not None:
        yield held
        if other is not None:
            on_bad(_out_of_order(other, "before", held))


def _within(
    path: Path, period: Period | None, on_bad: Callable[[BadLine], object]
) -> Iterator[Recorded]:
    """The orders inside the recording's period."""
    for one in _readable(path, on_bad):
        if period is not None and one.placed_at.date() in period:
            yield one
        else:
            on_bad(_outside(one, period))


def _readable(path: Path, on_bad: Callable[[BadLine], object]) -> Iterator[Recorded]:
    """The lines that are orders; blank ones are skipped."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if not raw.strip():
                continue
            try:
                yield read_line(raw, number)
            except BadLine as cause:
                while len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE + 1)
                on_bad(cause)


def read_line(raw: bytes, number: int) -> Recorded:
    """Read one line; raises BadLine."""
    if len(raw) > MAX_LINE:
        raise BadLine(number, f"longer than {MAX_LINE} bytes")
    try:
        given = _DECODER.decode(raw.removeprefix(b"\xef\xbb\xbf"))
        placed_at = _instant(given.placed_at)
        if not given.items:
            raise ValueError("items is empty")
        request = OrderRequest(tuple(map(_line, given.items)), given.note or "")
        check(request)
    except (ValueError, RecursionError) as cause:
        raise BadLine(number, str(cause) or type(cause).__name__) from cause
    return Recorded(placed_at, request, number)


def _line(item: _RecordedItem) -> PricedLine:
    """An item from the menu, or one with its own price and minutes."""
    known = BY_NAME.get(normalised_name(item.name))
    price, minutes = _price(bytes(item.unit_price)), item.preparation_time
    if known is not None:
        price = known.price if price is None else price
        minutes = known.preparation_time if minutes is None else minutes
    if price is None or minutes is None:
        raise ValueError(
            f"{item.name[:100]!r} is not on the menu: give unit_price, preparation_time"
        )
    return PricedLine(
        name=known.name if known else item.name,
        title=known.title if known else item.name,
        quantity=item.quantity,
        unit_price=price,
        preparation_time=minutes,
    )


def _price(raw: bytes) -> Decimal | None:
    if raw == b"null":
        return None
    if not _MONEY.fullmatch(raw):
        shown = raw[:100].decode(errors="replace")
        raise ValueError(f'unit_price: {shown} is not a price, such as 3.50 or "3.50"')
    return Decimal(raw.strip(b'"').decode())


def _instant(given: datetime) -> datetime:
    """A time without a zone is UTC."""
    instant = given if given.tzinfo else given.replace(tzinfo=UTC)
    if not EARLIEST <= instant <= utc_now() + _AHEAD:
        raise ValueError(f"placed_at: {given.isoformat()} is not from {EARLIEST.year} to now")
    return instant.astimezone(UTC)


def _longest(days: Counter[date]) -> Period | None:
    """Of the periods separated by long pauses, the one with the most orders."""
    periods: list[tuple[int, Period]] = []
    for day in sorted(days):
        if periods and day - periods[-1][1].last <= MAX_PAUSE:
            count, period = periods.pop()
            periods.append((count + days[day], Period(period.first, day)))
        else:
            periods.append((days[day], Period(day, day)))
    return max(periods, key=lambda one: one[0])[1] if periods else None


def _outside(one: Recorded, period: Period | None) -> BadLine:
    recording = f"{period.first} to {period.last}" if period else "no day"
    return BadLine(
        one.number,
        f"placed_at: {one.placed_at.isoformat()} is more than {MAX_PAUSE.days} days from the rest"
        f" of the recording ({recording})",
    )


def _out_of_order(one: Recorded, side: str, other: Recorded) -> BadLine:
    return BadLine(
        one.number,
        f"out of order: placed at {one.placed_at.isoformat()}, {side} line {other.number}"
        f" ({other.placed_at.isoformat()})",
    )


def _ignore(cause: BadLine) -> None:
    """Ignored here; the following check reports it."""
