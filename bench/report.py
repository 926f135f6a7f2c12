"""The table of a run of the bench, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figure, Samples
from bench.tables import head, row

_COLUMNS = ("goal", "what", "floor", "product", "ratio", "bound", "met")


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A goal that could not be measured to its end, and why."""

    goal: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a run: a row for each figure, and one for each goal that failed."""

    machine: Mapping[str, str]
    rows: Sequence[Figure | Failed]
    quick: bool
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether a goal could not be measured; one that was missed is no failure."""
        return any(isinstance(one, Failed) for one in self.rows)

    def markdown(self) -> str:
        """The table, then notes, then the machine."""
        return "\n".join([*self._table(), "", *self._notes(), "", *self._about()])

    def json(self) -> str:
        """Everything, round by round."""
        document = {
            "machine": dict(self.machine),
            "quick": self.quick,
            "seconds": round(self.seconds, 1),
            "figures": [_document(one) for one in self.rows if isinstance(one, Figure)],
            "failed": [asdict(one) for one in self.rows if isinstance(one, Failed)],
        }
        return json.dumps(document, indent=2, ensure_ascii=False)

    def write(self, folder: Path) -> None:
        """Keep it as bench.md and bench.json."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.md").write_text(self.markdown() + "\n")
        (folder / "bench.json").write_text(self.json() + "\n")

    def _table(self) -> Iterator[str]:
        yield from head(_COLUMNS)
        for one in self.rows:
            yield row(_cells(one))

    def _notes(self) -> Iterator[str]:
        for one in self.rows:
            if isinstance(one, Failed):
                continue
            floor = f"The floor is {one.floor_is}." if one.floor_is else ""
            if text := " ".join(filter(None, (floor, one.note))):
                yield f"- {one.goal}, {one.what}: {text}"

    def _about(self) -> Iterator[str]:
        kind = "A quick run" if self.quick else "A full run"
        yield f"{kind} of {self.seconds:.0f} s; medians of the rounds, with the least and the most."
        yield "The ratio is the median of the rounds' own ratios."
        yield ""
        for name, value in self.machine.items():
            yield f"- {name}: {value}"


def _cells(one: Figure | Failed) -> Sequence[str]:
    if isinstance(one, Failed):
        return (one.goal, f"**failed**: {one.why}", "", "", "", "", "**failed**")
    return (
        one.goal,
        f"{one.what}, {one.unit}",
        _spread(one.floor) if one.floor else "",
        _spread(one.product),
        _spread(one.ratio) if one.ratio else "",
        f"{one.bound} {'' if one.bound.of == 'ratio' else one.unit}".strip(),
        "yes" if one.met else "**no**",
    )


def _spread(samples: Samples) -> str:
    if len(samples.values) == 1:
        return digits(samples.median)
    return f"{digits(samples.median)} ({digits(samples.low)}..{digits(samples.high)})"


def digits(number: float) -> str:
    """A number to three digits, and no further than it is whole."""
    size = abs(number)
    if size >= 100 or size == int(size):
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def _document(one: Figure) -> dict[str, Any]:
    return {
        "goal": one.goal,
        "what": one.what,
        "unit": one.unit,
        "floor": list(one.floor.values) if one.floor else None,
        "floor_is": one.floor_is,
        "product": list(one.product.values),
        "ratio": list(one.ratio.values) if one.ratio else None,
        "bound": {"is": str(one.bound), "limit": one.bound.limit, "of": one.bound.of},
        "value": one.value,
        "met": one.met,
        "note": one.note,
    }
