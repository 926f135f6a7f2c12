"""What a goal measures, and the table of a run as Markdown and JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Who was measured: the floor, the product of another checkout (`--against`), and this one.
FLOOR, BEFORE, PRODUCT = "floor", "before", "product"
_HOW = (
    "Medians of the rounds, with the least and the most; a ratio is the median of the rounds' own"
    " ratios."
)


@dataclass(frozen=True)
class Bound:
    """A limit on the ratio of the product to the floor; ``absolute``: on the product's value."""

    limit: float
    is_least: bool
    absolute: bool

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.limit:,g}"


def at_least(limit: float, *, absolute: bool = False) -> Bound:
    return Bound(limit, True, absolute)


def at_most(limit: float, *, absolute: bool = False) -> Bound:
    return Bound(limit, False, absolute)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table. ``seen``: the values of each that was measured, round by round."""

    goal: str
    what: str
    unit: str
    seen: Mapping[str, Sequence[float]]
    bound: Bound
    floor_is: str = ""
    note: str = ""
    #: Of each that was measured: microseconds of processor time per order, by process.
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def ratio(self, to: str = FLOOR) -> Sequence[float]:
        """Round by round; empty if that was not measured."""
        if to not in self.seen:
            return ()
        pairs = zip(self.seen[PRODUCT], self.seen[to], strict=True)
        return tuple(one / other for one, other in pairs)

    @property
    def value(self) -> float:
        """What the bound is about: a median of the rounds."""
        return statistics.median(self.seen[PRODUCT] if self.bound.absolute else self.ratio())

    @property
    def met(self) -> bool:
        limit = self.bound.limit
        return self.value >= limit if self.bound.is_least else self.value <= limit


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A goal that could not be measured to its end, and why."""

    goal: str
    why: str


Row = Figure | Failed


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All rows of a run, and the machine that they are from."""

    machine: Mapping[str, str]
    rows: Sequence[Row]
    seconds: float

    def write(self, folder: Path) -> None:
        """Write bench.md and bench.json."""
        document = {
            "machine": self.machine,
            "seconds": round(self.seconds, 1),
            "figures": [_document(one) for one in self.rows if isinstance(one, Figure)],
            "failed": [asdict(one) for one in self.rows if isinstance(one, Failed)],
        }
        (folder / "bench.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))
        (folder / "bench.md").write_text(self.markdown() + "\n")

    def markdown(self) -> str:
        """The table, the processor time per order, the notes and the machine."""
        figures = [one for one in self.rows if isinstance(one, Figure)]
        parts = [
            self._table(is_pair=any(BEFORE in one.seen for one in figures)),
            [line for one in figures if one.costs for line in _costs(one)],
            [f"- {one.goal}, {one.what}: {_notes(one)}" for one in figures if _notes(one)],
            [f"Measured in {self.seconds:.0f} s. {_HOW}"],
            [f"- {name}: {value}" for name, value in self.machine.items()],
        ]
        return "\n\n".join("\n".join(part) for part in parts if part)

    def _table(self, *, is_pair: bool) -> list[str]:
        names = ["goal", "what", "floor", "before", "product", "ratio", "product to before"]
        lines = []
        for one in self.rows:
            if isinstance(one, Failed):
                lines.append([one.goal, f"**failed**: {one.why}"])
                continue
            seen = [_spread(one.seen.get(label, ())) for label in (FLOOR, BEFORE, PRODUCT)]
            ratios = _spread(one.ratio()), _spread(one.ratio(to=BEFORE))
            bound = f"{one.bound} {one.unit}" if one.bound.absolute else str(one.bound)
            met = "yes" if one.met else "**no**"
            lines.append([one.goal, f"{one.what}, {one.unit}", *seen, *ratios, bound, met])
        return table([*names, "bound", "met"], lines, without=() if is_pair else (3, 6))


def table(
    names: Sequence[str], lines: Sequence[Sequence[str]], *, without: Sequence[int] = ()
) -> list[str]:
    """A table in Markdown, without the columns of these numbers."""
    rows = [
        [one for place, one in enumerate(row) if place not in without] for row in (names, *lines)
    ]
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|" + "---|" * len(rows[0]), *body]


def digits(number: float) -> str:
    """A number with about three digits."""
    size = abs(number)
    if size >= 100 or size == int(size):
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(map(digits, values))
    low, high = min(values), max(values)
    return f"{digits(statistics.median(values))} ({digits(low)}..{digits(high)})"


def _costs(one: Figure) -> Iterator[str]:
    """The largest part first; with the difference to before, where that was measured."""
    both = [label for label in (BEFORE, PRODUCT) if label in one.costs]
    parts = {
        name: [one.costs[label].get(name, 0.0) for label in both] for name in one.costs[PRODUCT]
    }
    ordered = dict(sorted(parts.items(), key=lambda part: -part[1][-1]))
    ordered["together"] = [sum(column) for column in zip(*parts.values(), strict=True)]
    lines = [
        [name, *(f"{value:,.0f}" for value in values), f"{values[-1] - values[0]:+,.0f}"]
        for name, values in ordered.items()
    ]
    yield f"{one.goal}, {one.what}: processor time per order, µs"
    yield ""
    names = ["process", *both, "difference"]
    yield from table(names, lines, without=() if BEFORE in both else (2,))
    yield ""


def _notes(one: Figure) -> str:
    floor = f"The floor is {one.floor_is}." if one.floor_is else ""
    return " ".join(filter(None, (floor, one.note)))


def _document(one: Figure) -> dict[str, Any]:
    shown = vars(one) | {"bound": str(one.bound), "value": one.value, "met": one.met}
    ratios = {"ratio": one.ratio(), "to_before": one.ratio(to=BEFORE)}
    return shown | {name: list(values) for name, values in ratios.items() if values}
