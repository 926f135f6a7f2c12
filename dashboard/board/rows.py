"""The rows of the lanes, and one order in full."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from dashboard.board.filters import ROWS
from dashboard.board.wording import Json, tenths
from dashboard.comparison.foreign_text import visible
from dashboard.comparison.outcome import ACCEPTED, Outcome
from dashboard.fold.records import Members
from dashboard.ingest.stored import members_in
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import DeadLetter, Discrepancy, Observation, ObservedOrder, Signature
from dashboard.verdict.traffic import ROLE_ORDER
from kitchen_worker.contract.messages import Role
from restaurant.launches import find_launch
from restaurant.models import Launch

#: Characters of a search that are used.
SEARCH_LENGTH = 60
#: Differing paths that a row names.
PATHS_SHOWN = 3
#: Dead letters of one order that are shown, newest first.
MAX_DEAD_LETTERS = 20
#: Characters of an error, and of the id of an order without a number.
_ERROR_SHOWN = 200
_ID_SHOWN = 8
#: Orders of any launch that a search by the start of an id reads.
_SEARCHED = 1000
#: A search by the start of an id needs at least this many characters.
_MIN_ID_PREFIX = 4
#: Digits of a number that fits the database's column.
_MAX_DIGITS = 18
_LAST_CHARACTER = "\U0010ffff"

#: An order and a version.
_Key = tuple[int, str]


def read_rows(roster: Roster, orders: Iterable[int], versions: Collection[str] = ()) -> list[Json]:
    """The rows of these observed orders, newest first, with these versions or all of the launch."""
    names = versions or roster.roles
    found = ObservedOrder.objects.filter(pk__in=list(orders)).order_by("-id")
    rows = list(found.values_list("id", "order_id", "number", "label", "categories", "sample"))
    cells = _cells([pk for pk, *_ in rows], names)
    return [
        {
            "id": order_id,
            "name": f"#{number}" if number is not None else visible(order_id[:_ID_SHOWN]),
            "items": visible(label),
            "note": "note:yes" in categories,
            "cells": {
                version: cells.get((pk, version)) or _unseen(sample, version, role)
                for version, role in roster.roles.items()
                if version in names
            },
        }
        for pk, order_id, number, label, categories, sample in rows
    ]


def find_rows(launch: Launch, text: str) -> list[Json]:
    """The orders with a number, as in ``#1042``, or else with an id that starts with the text."""
    wanted = text.strip().removeprefix("#")
    found: list[int] = []
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= _MAX_DIGITS:
        # With an order by, SQLite would scan the whole launch.
        orders = ObservedOrder.objects.filter(launch=launch.id, number=int(wanted))
        found = list(orders.values_list("id", flat=True)[:ROWS])
    if not found and len(wanted) >= _MIN_ID_PREFIX and "\x00" not in wanted:
        found = _with_id_prefix(launch.id, wanted)
    return read_rows(read_roster(launch), found) if found else []


def _with_id_prefix(launch: UUID, start: str) -> list[int]:
    """The newest orders of a launch whose id starts with a text, among a bounded number of any
    launch: filtered by launch, SQLite would scan all of it."""
    found: set[tuple[int, UUID]] = set()
    for one in {start, _as_uuid(start)}:
        orders = ObservedOrder.objects.filter(
            order_id__gte=one, order_id__lt=f"{one}{_LAST_CHARACTER}"
        ).order_by("-order_id")
        found.update(orders.values_list("id", "launch")[:_SEARCHED])
    return [pk for pk, of in sorted(found, reverse=True) if of == launch][:ROWS]


def _as_uuid(start: str) -> str:
    """The start of an id in the spelling of a UUID, if it can be one."""
    digits = start.lower().replace("-", "")
    is_hex = all(digit in "0123456789abcdef" for digit in digits)
    if not (_MIN_ID_PREFIX <= len(digits) <= 32 and is_hex):
        return start
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(part for part in parts if part)


def _cells(orders: list[int], versions: Collection[str]) -> dict[_Key, Json]:
    """What each version did with these orders, and its comparison with the control."""
    seen = list(
        Observation.objects.filter(order__in=orders, participant__version__in=versions).values_list(
            "order_id", "participant__version", "state", "handling_ms", "error_type",
            "error_message", "late", "judged_at", "exception", "signature", "members",
        )
    )  # fmt: skip
    shown = _members_of({(signature, members) for *_, signature, members in seen})
    found = _paths_and_decisions({pk for members in shown.values() for pk in members.all})
    return {
        (order, version): {
            "state": state,
            "ms": tenths(handling_ms),
            "error": visible((message or kind)[:_ERROR_SHOWN]) or None,
            "late": late,
            "pair": None
            if judged_at is None
            else _pair(exception or Outcome.AGREE.value, shown[signature, members], found),
        }
        for order, version, state, handling_ms, kind, message, late, judged_at, exception,
            signature, members in seen
    }  # fmt: skip


def _unseen(sample: Collection[str], version: str, role: Role) -> Json:
    state = "waiting" if role is Role.CONTROL or version in sample else "unsampled"
    return {"state": state, "ms": None, "error": None, "late": False, "pair": None}


def _members_of(
    stored: Collection[tuple[int | None, str]],
) -> dict[tuple[int | None, str], Members]:
    """The discrepancies of each pair, from its signature or from the members stored instead."""
    signatures = {signature for signature, _ in stored if signature is not None}
    rows = Signature.objects.filter(pk__in=signatures).values_list("id", "counted", "ignored")
    known = {pk: Members(frozenset(counted), frozenset(gone)) for pk, counted, gone in rows}
    return {
        (signature, text): members_in(text)
        if text
        else known.get(signature, Members())
        if signature is not None
        else Members()
        for signature, text in stored
    }


def _paths_and_decisions(shown: Collection[int]) -> dict[int, tuple[str, str]]:
    """The paths of these discrepancies and the decisions on them, the rarest first."""
    rows = Discrepancy.objects.filter(pk__in=shown).order_by("count", "id")
    return {pk: (path, state) for pk, path, state in rows.values_list("id", "path", "state")}


def _pair(outcome: str, members: Members, found: Mapping[int, tuple[str, str]]) -> Json:
    """A row's comparison. ``differs``: the paths that count, the rarest first: they tell most."""
    counting = [
        visible(path) for pk, (path, state) in found.items()
        if pk in members.counted and state not in ACCEPTED
    ]  # fmt: skip
    return {
        "outcome": outcome,
        "differs": counting[:PATHS_SHOWN],
        "more": max(0, len(counting) - PATHS_SHOWN),
        "accepted": len(members.all) - len(counting),
    }


def order_detail(order_id: str) -> Json | None:
    """One order with its observations, the control's first; None if there is no such order."""
    order = ObservedOrder.objects.filter(order_id=order_id).first()
    if order is None:
        return None
    observations = sorted(
        Observation.objects.filter(order=order.pk).select_related("participant"),
        key=lambda one: (ROLE_ORDER[Role(one.participant.role)], one.participant.version),
    )
    return {
        "order": order,
        "launch": find_launch(order.launch),
        "observations": observations,
        "dead_letters": DeadLetter.objects.filter(order=order_id)[:MAX_DEAD_LETTERS],
        "sample": order.sample,
        "sent_at": order.sent_at,
        "message": bytes(order.body).decode("utf-8", "replace"),
    }
