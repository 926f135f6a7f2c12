"""What a goal measures, and the table of a run as Markdown and JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

#: Who was measured: the floor, the product of another checkout (`--against`), and this one.
FLOOR, BEFORE, PRODUCT = "floor", "before", "product"
#: The values of each, round by round.
Seen = Mapping[str, Sequence[float]]
_HOW = (
    "Medians of the rounds, with the least and the most; a ratio is the median of the rounds' own"
    " ratios."
)
#: Microseconds of processor time per order, by process.
Costs = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on the product's own value, or on its ratio to the floor."""

    sign: Literal["≥", "≤"]
    limit: float
    of: Literal["ratio", "product"]

    def holds(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value >= self.limit if self.sign == "≥" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:,g}"


def at_least(limit: float, *, of: Literal["ratio", "product"] = "ratio") -> Bound:
    """A bound that a larger value keeps."""
    return Bound("≥", limit, of)


def at_most(limit: float, *, of: Literal["ratio", "product"] = "ratio") -> Bound:
    """A bound that a smaller value keeps."""
    return Bound("≤", limit, of)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table."""

    goal: str
    what: str
    unit: str
    seen: Seen
    bound: Bound
    floor_is: str = ""
    note: str = ""
    #: Of each that was measured.
    costs: Mapping[str, Costs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rounds = {len(values) for values in self.seen.values()}
        if len(rounds) != 1 or rounds == {0} or PRODUCT not in self.seen:
            raise ValueError(f"{self.goal}: the same rounds of all are needed, not {self.seen}")
        if self.bound.of == "ratio" and FLOOR not in self.seen:
            raise ValueError(f"{self.goal}: a ratio needs a floor")

    def ratio(self, of: str = PRODUCT, to: str = FLOOR) -> Sequence[float]:
        """Round by round; empty if one of them was not measured."""
        if not {of, to} <= self.seen.keys():
            return ()
        pairs = zip(self.seen[of], self.seen[to], strict=True)
        return tuple(one / other for one, other in pairs)

    @property
    def value(self) -> float:
        """What the bound is about: a median of the rounds."""
        return statistics.median(self.ratio() if self.bound.of == "ratio" else self.seen[PRODUCT])

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.bound.holds(self.value)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A goal that could not be measured to its end, and why."""

    goal: str
    why: str


Row = Figure | Failed


@dataclass(frozen=True, kw_only=True)
class Report:
    """All rows of a run, and the machine that they are from."""

    machine: Mapping[str, str]
    rows: Sequence[Row]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether a goal could not be measured; a goal that was missed is no failure."""
        return any(isinstance(one, Failed) for one in self.rows)

    def write(self, folder: Path) -> None:
        """Keep it as bench.md and bench.json."""
        document = {
            "machine": dict(self.machine),
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
            list(self._table(is_pair=any(BEFORE in one.seen for one in figures))),
            [line for one in figures if one.costs for line in _costs(one)],
            [f"- {one.goal}, {one.what}: {_notes(one)}" for one in figures if _notes(one)],
            [f"Measured in {self.seconds:.0f} s. {_HOW}"],
            [f"- {name}: {value}" for name, value in self.machine.items()],
        ]
        return "\n\n".join("\n".join(part) for part in parts if part)

    def _table(self, *, is_pair: bool) -> Iterator[str]:
        names = ["goal", "what", "floor", "product", "ratio", "bound", "met"]
        if is_pair:
            names[3:3], names[6:6] = ["before"], ["product to before"]
        yield from head(names)
        for one in self.rows:
            if isinstance(one, Failed):
                yield row([one.goal, f"**failed**: {one.why}"])
                continue
            before = [_spread(one.seen.get(BEFORE, ())), _spread(one.ratio(to=BEFORE))]
            before = before if is_pair else []
            unit = "" if one.bound.of == "ratio" else f" {one.unit}"
            yield row(
                [
                    one.goal,
                    f"{one.what}, {one.unit}",
                    _spread(one.seen.get(FLOOR, ())),
                    *before[:1],
                    _spread(one.seen[PRODUCT]),
                    _spread(one.ratio()),
                    *before[1:],
                    f"{one.bound}{unit}",
                    "yes" if one.met else "**no**",
                ]
            )


def head(names: Sequence[str]) -> Iterator[str]:
    """The first two lines of a table in Markdown."""
    yield row(names)
    yield "|" + "---|" * len(names)


def row(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def digits(number: float) -> str:
    """A number to about three digits."""
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
    yield f"{one.goal}, {one.what}: processor time per order, µs"
    yield ""
    both = [label for label in (BEFORE, PRODUCT) if label in one.costs]
    names = sorted(one.costs[PRODUCT], key=lambda name: -one.costs[PRODUCT][name])
    yield from head(["process", *both, *(["difference"] if len(both) > 1 else [])])
    parts = {name: [one.costs[label].get(name, 0.0) for label in both] for name in names}
    parts["together"] = [sum(one.costs[label].values()) for label in both]
    for name, values in parts.items():
        change = [f"{values[-1] - values[0]:+,.0f}"] if len(values) > 1 else []
        yield row([name, *(f"{value:,.0f}" for value in values), *change])
    yield ""


def _notes(one: Figure) -> str:
    floor = f"The floor is {one.floor_is}." if one.floor_is else ""
    return " ".join(filter(None, (floor, one.note)))


def _document(one: Figure) -> dict[str, Any]:
    shown = vars(one) | {"bound": str(one.bound), "value": one.value, "met": one.met}
    ratios = {"ratio": one.ratio(), "to_before": one.ratio(to=BEFORE)}
    return shown | {name: list(values) for name, values in ratios.items() if values}
