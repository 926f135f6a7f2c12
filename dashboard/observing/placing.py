"""In which stored discrepancy a group counts."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.domain.comparing.folding import Places, home
from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy
from dashboard.observing.signatures import Members


def group_of_row(row: Discrepancy) -> Group:
    """What a discrepancy stands for."""
    return Group(GroupKind(row.kind), row.path)


def known_row(
    group: Group,
    rows: Mapping[Group, Discrepancy],
    was: Members,
    by_id: Mapping[int, Discrepancy],
) -> Discrepancy | None:
    """A group's own discrepancy, or the folded one in which a pair of it was counted before."""
    if (own := rows.get(group)) is not None:
        return own
    before = {group_of_row(by_id[pk]): by_id[pk] for pk in was.all if pk in by_id}
    folded = home(group, before)
    return before[folded] if folded is not None else None


def places_of(rows: Mapping[str, Mapping[Group, Discrepancy]], room: int) -> Places:
    """Where new groups of a launch find their place, beside those that its versions have."""
    holding = {
        version: {group: _holds_room(row) for group, row in groups.items()}
        for version, groups in rows.items()
    }
    return Places(holding, room)


def _holds_room(row: Discrepancy) -> bool:
    """Whether it takes the room of another: a judgement of the past may have emptied it."""
    return row.count > 0 or row.state != Decision.OPEN
