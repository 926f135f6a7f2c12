"""When an order that was sent again still shows a discrepancy, and when it does not."""

from __future__ import annotations

import pytest

from dashboard.domain.comparing.judgement import Group, GroupKind, Judgement
from dashboard.domain.comparing.showing import still_shows
from dashboard.domain.outcome import Outcome

PRICE = Group(GroupKind.VALUE, "total_price")
MINUTES = Group(GroupKind.VALUE, "lines[].minutes")
ANY_PRICE = Group(GroupKind.VALUE, "by_id.*.price")
TOO_MANY = Group(GroupKind.FAILED, "TooMany: # of *")


@pytest.mark.parametrize(
    ("group", "found", "shows"),
    [
        (PRICE, [], False),
        (PRICE, [PRICE], True),
        (PRICE, [Group(GroupKind.VALUE, "cook")], False),
        (PRICE, [Group(GroupKind.TYPE, "total_price")], True),
        (PRICE, [Group(GroupKind.MISSING, "total_price")], True),
        (PRICE, [Group(GroupKind.VALUE, "total_price_net")], False),
        (PRICE, [Group(GroupKind.MANY, "$")], True),
        (PRICE, [Group(GroupKind.FAILED, "total_price")], False),
        (MINUTES, [Group(GroupKind.MISSING, "lines")], True),
        (MINUTES, [Group(GroupKind.MISSING, "lines[]")], True),
        (MINUTES, [Group(GroupKind.TYPE, "lines")], True),
        (MINUTES, [Group(GroupKind.ORDER, "lines")], False),
        (MINUTES, [Group(GroupKind.VALUE, "lines[].name")], False),
        (TOO_MANY, [TOO_MANY], True),
        (TOO_MANY, [Group(GroupKind.FAILED, "KeyError: *")], False),
        (TOO_MANY, [PRICE], False),
        (PRICE, [Group(GroupKind.TYPE, "$")], True),
        (ANY_PRICE, [Group(GroupKind.VALUE, "by_id.u1.price")], True),
        (ANY_PRICE, [Group(GroupKind.TYPE, "by_id.u1.price")], True),
        (ANY_PRICE, [Group(GroupKind.MISSING, "by_id.u1")], True),
        (ANY_PRICE, [Group(GroupKind.VALUE, "by_id.u1.name")], False),
        (Group(GroupKind.FAILED, "KeyError: *"), [Group(GroupKind.FAILED, "KeyError: x")], True),
        (Group(GroupKind.FAILED, "KeyError: *"), [Group(GroupKind.FAILED, "IOError: x")], False),
        (Group(GroupKind.OTHER, "further"), [], False),
        (Group(GroupKind.OTHER, "further"), [PRICE], True),
    ],
)
@pytest.mark.parametrize("rule", [None, 7])
def test_what_an_order_shows_counted_or_ignored(
    group: Group, found: list[Group], shows: bool, rule: int | None
) -> None:
    judgement = Judgement(Outcome.DIFFER, dict.fromkeys(found, rule))
    assert still_shows(group, judgement) is shows
