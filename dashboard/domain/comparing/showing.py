"""Whether an order that was sent again still shows what it was sent for."""

from __future__ import annotations

from dashboard.domain.comparing.folding import fits, stands_for, steps
from dashboard.domain.comparing.judgement import Group, GroupKind, Judgement

#: What the whole of a pair has in common, beside what stands at one path.
_FAILURES = frozenset({GroupKind.FAILED, GroupKind.CONTROL_FAILED})


def still_shows(group: Group, judgement: Judgement) -> bool:
    """Whether a pair shows a group, counted or ignored by a rule.

    A field that now differs in another way has not been mended, nor has one that is gone with all
    that held it; and where more differs than is told apart, nobody can say that this does not.
    """
    if group.kind is GroupKind.OTHER:
        return bool(judgement.groups)
    if group.kind in _FAILURES:
        return any(stands_for(group, found) for found in judgement.groups)
    return any(_covers(found, group) for found in judgement.groups)


def _covers(found: Group, group: Group) -> bool:
    """Whether what was found stands where the group does, or takes its place away."""
    if found.kind in _FAILURES:
        return False
    if found.kind is GroupKind.MANY:
        return True
    place, wanted = steps(found.path), steps(group.path)
    is_there = fits(wanted[: len(place)], place)
    return is_there and (
        len(place) == len(wanted) or found.kind in (GroupKind.MISSING, GroupKind.TYPE)
    )
