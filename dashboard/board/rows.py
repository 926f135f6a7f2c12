"""The rows of the lanes: an order, what each version did with it, and what its pairs show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from dashboard.board.frames import Json, tenths
from dashboard.board.lenses import ROWS
from dashboard.domain.decision import ACCEPTED
from dashboard.models import Comparison, Discrepancy, Observation, Signature
from dashboard.observing.rosters import Roster, read_roster
from dashboard.observing.signatures import Members
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch, Letter, Order, OrderLine

#: Paths that a row names of those that differ.
DIFFERS = 3
_ERROR_SHOWN = 200

#: An order and a version.
_Key = tuple[UUID, str]


def read_rows(roster: Roster, uuids: Iterable[UUID]) -> list[Json]:
    """The rows of the lanes for these orders, the newest order first."""
    orders = list(
        Order.objects.filter(uuid__in=list(uuids))
        .order_by("-id")
        .select_related("letter")
        .only("uuid", "placed_at", "note", "letter__sample")
    )
    items: defaultdict[int, list[str]] = defaultdict(list)
    lines = OrderLine.objects.filter(order__in=orders).order_by("order", "position")
    for order, quantity, title in lines.values_list("order", "quantity", "title"):
        items[order].append(title.lower() if quantity == 1 else f"{quantity} {title.lower()}")
    ids = [order.uuid for order in orders]
    seen, pairs = _cells(ids), _pairs(ids)
    return [
        {
            "id": str(order.uuid),
            "number": order.pk,
            "items": ", ".join(items[order.pk]),
            "note": bool(order.note),
            "placed_at": order.placed_at.timestamp(),
            "cells": {
                version: (seen.get((order.uuid, version)) or _unseen(order, version, role))
                | {"pair": pairs.get((order.uuid, version))}
                for version, role in roster.roles.items()
            },
        }
        for order in orders
    ]


def find_rows(launch: Launch, text: str) -> list[Json]:
    """The orders that a person means by a number, ``#1042``, or by the start of an id."""
    wanted = text.strip().removeprefix("#").lower()
    orders = Order.objects.filter(launch=launch).order_by("-id")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        orders = orders.filter(id=int(wanted))
    else:
        bounds = _uuid_bounds(wanted)
        if bounds is None:
            return []
        orders = orders.filter(uuid__gte=bounds[0], uuid__lte=bounds[1])
    ids = list(orders.values_list("uuid", flat=True)[:ROWS])
    return read_rows(read_roster(launch), ids)


def _cells(orders: list[UUID]) -> dict[_Key, Json]:
    observations = Observation.objects.filter(order__in=orders).values_list(
        "order", "version", "state", "handling_ms", "error_type", "error_message", "late"
    )
    return {
        (order, version): {
            "state": state,
            "ms": tenths(handling_ms),
            "error": (message or kind)[:_ERROR_SHOWN] or None,
            "late": late,
        }
        for order, version, state, handling_ms, kind, message, late in observations
    }


def _unseen(order: Order, version: str, role: Role) -> Json:
    letter: Letter | None = getattr(order, "letter", None)
    due = role is Role.CONTROL or (letter is not None and version in letter.sample)
    state = "waiting" if due else "unsampled"
    return {"state": state, "ms": None, "error": None, "late": False}


def _pairs(orders: list[UUID]) -> dict[_Key, Json]:
    """What each pair of these orders shows, as decisions stand now."""
    pairs = list(
        Comparison.objects.filter(order__in=orders).values_list(
            "order", "version", "outcome", "signature", "members"
        )
    )
    members = _members({signature for *_, signature, _ in pairs if signature is not None})
    members |= {text: Members.read(text) for *_, text in pairs if text}
    shown = {pk for one in members.values() for pk in one.all}
    rows = Discrepancy.objects.filter(pk__in=shown).order_by("count", "id")
    found = {pk: (path, state) for pk, path, state in rows.values_list("id", "path", "state")}
    return {
        (order, version): _pair(outcome, members.get(text or signature, Members()), found)
        for order, version, outcome, signature, text in pairs
    }


def _members(signatures: set[int]) -> dict[Any, Members]:
    rows = Signature.objects.filter(pk__in=signatures).values_list("id", "counted", "ignored")
    return {pk: Members(frozenset(counted), frozenset(gone)) for pk, counted, gone in rows}


def _pair(outcome: str, members: Members, found: dict[int, tuple[str, str]]) -> Json:
    """``differs``: the paths that count, the rarest first: what always differs tells least."""
    counting = [
        path for pk, (path, state) in found.items()
        if pk in members.counted and state not in ACCEPTED
    ]  # fmt: skip
    return {
        "outcome": outcome,
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
