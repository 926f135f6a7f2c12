"""The rows of the lanes: an order, what each version did with it, and what its pairs show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from dashboard.board.frames import Json, tenths
from dashboard.board.lenses import ROWS
from dashboard.domain.decision import ACCEPTED
from dashboard.domain.foreign_text import visible
from dashboard.domain.outcome import Outcome, State, outcome
from dashboard.models import Comparison, Discrepancy, Observation, Signature
from dashboard.observing.rosters import Roster, read_roster
from dashboard.observing.signatures import Members
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch, Order, OrderLine

#: Paths that a row names of those that differ.
DIFFERS = 3
_ERROR_SHOWN = 200
#: Orders of any launch that a search by the start of an id looks at.
_LOOKED_AT = 1000

#: An order and a version.
_Key = tuple[UUID, str]


def read_rows(roster: Roster, uuids: Iterable[UUID], versions: Collection[str] = ()) -> list[Json]:
    """The rows of the lanes for these orders, the newest order first; of all versions of the
    launch, or of these alone."""
    names = versions or roster.roles
    found = Order.objects.filter(uuid__in=list(uuids)).order_by("-id")
    orders = list(found.values_list("id", "uuid", "placed_at", "note", "letter__sample"))
    items: defaultdict[int, list[str]] = defaultdict(list)
    lines = OrderLine.objects.filter(order__in=[number for number, *_ in orders])
    lines = lines.order_by("order_id", "position")
    for order, quantity, title in lines.values_list("order", "quantity", "title"):
        items[order].append(title.lower() if quantity == 1 else f"{quantity} {title.lower()}")
    ids = [uuid for _, uuid, *_ in orders]
    pairs, seen = _pairs(ids, names), _cells(ids, names)
    return [
        {
            "id": str(uuid),
            "number": number,
            "items": visible(", ".join(items[number])),
            "note": bool(note),
            "placed_at": placed_at.timestamp(),
            "cells": {
                version: (seen.get((uuid, version)) or _unseen(sample or (), version, role))
                | {
                    "pair": _fitting(
                        pairs.get((uuid, version)),
                        seen.get((uuid, roster.control)),
                        seen.get((uuid, version)),
                    )
                }
                for version, role in roster.roles.items()
                if version in names
            },
        }
        for number, uuid, placed_at, note, sample in orders
    ]


def find_rows(launch: Launch, text: str) -> list[Json]:
    """The orders that a person means by a number, ``#1042``, or by the start of an id."""
    wanted = text.strip().removeprefix("#").lower()
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        ids = list(
            Order.objects.filter(launch=launch, id=int(wanted)).values_list("uuid", flat=True)
        )
    elif (bounds := _uuid_bounds(wanted)) is not None:
        ids = _between(launch, *bounds)
    else:
        return []
    return read_rows(read_roster(launch), ids)


def _between(launch: Launch, first: UUID, last: UUID) -> list[UUID]:
    """The newest orders of a launch with an id from one to another, of a bounded number of such.

    Asked for those of the launch, SQLite walks through all of it.
    """
    orders = Order.objects.filter(uuid__gte=first, uuid__lte=last).order_by("uuid")
    found = list(orders.values_list("id", "uuid", "launch")[:_LOOKED_AT])
    return [uuid for _, uuid, of in sorted(found, reverse=True) if of == launch.id][:ROWS]


def _cells(orders: list[UUID], versions: Collection[str]) -> dict[_Key, Json]:
    observations = Observation.objects.filter(order__in=orders, version__in=versions).values_list(
        "order", "version", "state", "handling_ms", "error_type", "error_message", "late"
    )
    return {
        (order, version): {
            "state": state,
            "ms": tenths(handling_ms),
            "error": visible((message or kind)[:_ERROR_SHOWN]) or None,
            "late": late,
        }
        for order, version, state, handling_ms, kind, message, late in observations
    }


def _unseen(sample: Collection[str], version: str, role: Role) -> Json:
    state = "waiting" if role is Role.CONTROL or version in sample else "unsampled"
    return {"state": state, "ms": None, "error": None, "late": False}


def _pairs(orders: list[UUID], versions: Collection[str]) -> dict[_Key, Json]:
    """What each pair of these orders shows, as decisions stand now."""
    pairs = list(
        Comparison.objects.filter(order__in=orders, version__in=versions).values_list(
            "order", "version", "outcome", "signature", "members"
        )
    )
    members = _members({signature for *_, signature, _ in pairs if signature is not None})
    members |= {text: Members.read(text) for *_, text in pairs if text}
    shown = {pk for one in members.values() for pk in one.all}
    rows = Discrepancy.objects.filter(pk__in=shown).order_by("count", "id")
    found = {pk: (path, state) for pk, path, state in rows.values_list("id", "path", "state")}
    return {
        (order, version): _pair(ended, members.get(text or signature, Members()), found)
        for order, version, ended, signature, text in pairs
    }


def _fitting(pair: Json | None, control: Json | None, version: Json | None) -> Json | None:
    """The pair, if it is that of these two cells: events may have come between the two reads."""
    if pair is None or control is None or version is None:
        return None
    states, found = (State(control["state"]), State(version["state"])), Outcome(pair["outcome"])
    return pair if outcome(*states, agree=found is Outcome.AGREE) is found else None


def _members(signatures: set[int]) -> dict[Any, Members]:
    rows = Signature.objects.filter(pk__in=signatures).values_list("id", "counted", "ignored")
    return {pk: Members(frozenset(counted), frozenset(gone)) for pk, counted, gone in rows}


def _pair(ended: str, members: Members, found: dict[int, tuple[str, str]]) -> Json:
    """``differs``: the paths that count, the rarest first: what always differs tells least."""
    counting = [
        visible(path) for pk, (path, state) in found.items()
        if pk in members.counted and state not in ACCEPTED
    ]  # fmt: skip
    return {
        "outcome": ended,
        "differs": counting[:DIFFERS],
        "more": max(0, len(counting) - DIFFERS),
        "accepted": len(members.all) - len(counting),
    }


def _uuid_bounds(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that start with these hexadecimal digits."""
    digits = text.replace("-", "")
    if not 4 <= len(digits) <= 32 or not all(digit in "0123456789abcdef" for digit in digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
