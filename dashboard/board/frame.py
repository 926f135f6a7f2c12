"""What the board shows, read from counters and the newest rows, at a constant cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from dashboard.board.charts import MARKS, build_series, marks, verdict_series
from dashboard.board.filters import FAST, Filter, FilteredOrders, matching_orders, newest_orders
from dashboard.board.indicators import dead_letters, feed_of, production, versions_of
from dashboard.board.parts import discrepancies, guards
from dashboard.board.rows import read_rows
from dashboard.board.wording import Json
from dashboard.models import Participant
from dashboard.review.listing import pairs_against
from dashboard.verdict.assessment import Assessment, assess
from dashboard.verdict.traffic import Traffic, read_traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch

#: What the scripts read of a board's state; the rest is for the templates of its parts.
_FRAME_FIELDS = (
    *("type", "launch", "filter", "version", "at", "orders", "rate", "versions", "samples"),
    *("ids", "rows", "looked_at", "newest", "open", "change", "series"),
)


class FastPart(NamedTuple):
    """The part of a state that is read for every frame, and what it was read from."""

    part: Json
    traffic: Traffic
    beside: Participant | None

    def joined(self, slow: Json) -> Json:
        """The whole state, with a slow part of now or a moment ago."""
        return {**self.part, **slow, "feed": self.part["feed"] | slow["feed"]}


def board_state(
    launch: Launch, by: Filter, *, version: str = "", backlogs: Mapping[str, int] | None = None
) -> Json:
    """Everything that the board shows; see `fast_part`."""
    fast = fast_part(launch, by, version=version, backlogs=backlogs)
    return fast.joined(slow_part(launch, fast))


def frame_fields(state: Json) -> Json:
    """The fields of a state that frames carry."""
    return {name: state[name] for name in _FRAME_FIELDS if name in state}


def fast_part(
    launch: Launch,
    by: Filter,
    *,
    version: str = "",
    backlogs: Mapping[str, int] | None = None,
) -> FastPart:
    """The orders, the versions and the rows.

    ``version``: the dark version beside the control, whose pairs are filtered; an unknown one means
    the first candidate. ``backlogs``: messages by queue; None if unknown.
    """
    traffic = read_traffic(launch, backlogs)
    control, beside = traffic.control, traffic.beside(version)
    both = [one for one in (control, beside) if one is not None]
    if by is Filter.ALL:
        ended_until = _ended_until(both) if traffic.rate > FAST else None
        found = FilteredOrders(newest_orders(launch.id, ended_until))
    else:
        found = matching_orders(by, beside)
    rows = read_rows(traffic.roster, found.orders, [one.version for one in both])
    part: Json = {
        "type": "board",
        "launch": str(launch.id),
        "filter": by.value,
        "version": beside.version if beside is not None else "",
        "at": traffic.at.timestamp(),
        "feed": feed_of(traffic),
        "orders": control.orders,
        "rate": traffic.rate,
        "versions": versions_of(launch, traffic),
        "ids": [row["id"] for row in rows],
        "rows": rows,
        "looked_at": found.looked_at,
        "matrix": dict(beside.matrix) if beside is not None else {},
        "against": pairs_against(launch.id, beside.version) if beside is not None else 0,
    }
    return FastPart(part, traffic, beside)


def slow_part(launch: Launch, fast: FastPart) -> Json:
    """The differences, the dead letters, the verdict and the charts: they take longer to compute.

    They may be a moment older than the rest of a state.
    """
    traffic, beside = fast.traffic, fast.beside
    assessment = assess(launch, fast.part["version"], traffic)
    charts = verdict_series(assessment, traffic.control, beside)
    candidates = [one.version for one in traffic.participants if one.role == Role.CANDIDATE]
    changes = list(launch.changes.all()[:MARKS])
    return {
        "samples": [one._asdict() for one in assessment.samples],
        "run": assessment.run,
        "guards": guards(launch.id),
        "words": _words(launch, traffic, candidates, {fast.part["version"]: assessment}),
        **discrepancies(launch.id, beside, candidates),
        "feed": {**dead_letters(), **production(launch.id)},
        "verdict": assessment.verdict,
        "change": changes[0].pk if changes else 0,
        "series": {
            **build_series(launch, traffic.at),
            "marks": marks(launch, fast.part["version"], changes),
            "verdict": charts,
        },
    }


def _words(
    launch: Launch, traffic: Traffic, candidates: Sequence[str], known: Mapping[str, Assessment]
) -> dict[str, str]:
    """The verdict's word on each candidate, empty if there is none; nothing for a single one."""
    if len(candidates) < 2:
        return {}
    found = {name: known.get(name) or assess(launch, name, traffic) for name in candidates}
    return {name: one.verdict["word"] if one.verdict else "" for name, one in found.items()}


def _ended_until(both: Sequence[Participant]) -> datetime | None:
    """When the newest order was placed that both versions have ended; None if unknown."""
    ended = [one.ended_until for one in both if one.ended_until is not None]
    return min(ended).astimezone(UTC) if len(ended) == len(both) else None
