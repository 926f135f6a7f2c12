"""The original restaurant's HTTP API: orders and the menu as JSON, for clients of any kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from restaurant.menu import BY_NAME, MENU, MenuItem
from restaurant.models import Order, OrderLine
from restaurant.orders import place_order
from restaurant.pricing import Line, OrderRefused, Problem, Refusal, item_name, lines_from_menu
from restaurant.visitors import wait_for_order_s

#: Largest body of a request, in bytes.
MAX_BODY = 64 * 1024

_TOO_LARGE = "body_too_large"
_ITEMS, _NOTE = "menuitems", "note"
#: The properties as we write them.
_WRITTEN = {_ITEMS: "menuItems", _NOTE: "note"}
_ABOUT_ITEMS = frozenset(Refusal) - {Refusal.WRONG_NOTE, Refusal.WRONG_KEY, Refusal.CONFLICT}
#: Items by the names that clients may use: as on the menu, and by title.
_KNOWN_NAMES = {item_name(called): item.name for item in MENU for called in (item.name, item.title)}


class BadRequest(ValueError):
    """Raised when a request is not what the API takes; holds the problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


_View = Callable[[HttpRequest], HttpResponseBase]


def _endpoint(*methods: str) -> Callable[[_View], _View]:
    """Let only ``methods`` in, and answer every refusal in the one JSON shape."""

    def decorate(view: _View) -> _View:
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if request.method not in methods:
                message = f"{request.method} is not allowed here; use {', '.join(methods)}."
                response = _refusal([Problem("method_not_allowed", "", message)], status=405)
                response["Allow"] = ", ".join(methods)
                return response
            try:
                return view(request)
            except BadRequest as cause:
                is_long = cause.problems[0].code == _TOO_LARGE
                return _refusal(cause.problems, status=413 if is_long else 400)
            except OrderRefused as cause:
                return _refusal(cause.problems, status=_status_of(cause.problems))
            except (OperationalError, InterfaceError):
                message = "The database is away; try again, with an Idempotency-Key to order once."
                return _refusal([Problem("unavailable", "", message)], status=503)

        return csrf_exempt(guarded)

    return decorate


@_endpoint("POST")
def orders(request: HttpRequest) -> HttpResponseBase:
    """Place an order: ``{"menuItems": ["burger", "fries"], "note": "no onions"}``."""
    if wait_s := wait_for_order_s(request):
        message = f"Too many orders from your address; try again in {wait_s} s."
        response = _refusal([Problem("too_many_requests", "", message)], status=429)
        response["Retry-After"] = str(wait_s)
        return response
    names, note = _read_order(_read_body(request))
    key = request.headers.get("Idempotency-Key")
    lines = lines_from_menu(Counter(_KNOWN_NAMES.get(name, name) for name in names))
    order = place_order(lines, note=note, idempotency_key=key)
    return JsonResponse(_order_json(order, lines if key is None else order.lines.all()))


@_endpoint("GET", "HEAD")
def items(request: HttpRequest) -> HttpResponseBase:
    """What can be ordered."""
    return JsonResponse([_item_json(item) for item in MENU], safe=False)


@_endpoint("GET", "HEAD")
def health(request: HttpRequest) -> HttpResponseBase:
    """The process answers."""
    return JsonResponse({"health": "ok"})


@_endpoint("GET", "HEAD")
def ready(request: HttpRequest) -> HttpResponseBase:
    """The process can take orders: its database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"ready": True})


def _read_body(request: HttpRequest) -> Any:
    raw = request.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise BadRequest(Problem(_TOO_LARGE, "", f"A body has at most {MAX_BODY} bytes."))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise BadRequest(Problem("not_utf8", "", "The body is not UTF-8.")) from cause
    try:
        return json.loads(text, object_pairs_hook=_Properties, parse_constant=_no_constant)
    except RecursionError as cause:
        raise BadRequest(Problem("not_json", "", "The body is nested too deeply.")) from cause
    except ValueError as cause:
        raise BadRequest(Problem("not_json", "", f"The body is not JSON: {cause}")) from cause


class _Properties(tuple[tuple[str, Any], ...]):
    """The properties of a JSON object as they were written, repeated ones included."""

    __slots__ = ()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _read_order(body: Any) -> tuple[list[str], str]:
    """The items' names and the note; property names may be in any case."""
    if not isinstance(body, _Properties):
        raise BadRequest(Problem("wrong_type", "", "The body must be a JSON object."))
    found: dict[str, Any] = {}
    for name, value in body:
        known = name.lower()
        if known in found and known in _WRITTEN:
            field = _WRITTEN[known]
            raise BadRequest(Problem("duplicate_property", field, f"{field} is there twice."))
        found[known] = value
    if _ITEMS not in found:
        raise BadRequest(Problem("missing_property", "menuItems", "menuItems is missing."))
    note = found.get(_NOTE)
    if not isinstance(note, str | None):
        raise BadRequest(Problem("wrong_type", "note", "note must be text."))
    return _names(found[_ITEMS]), note or ""


def _names(value: Any) -> list[str]:
    # An object is a tuple here, and text is no list of items.
    if not isinstance(value, list):
        raise BadRequest(Problem("wrong_type", "menuItems", "menuItems must be a list."))
    for position, name in enumerate(value):
        if not isinstance(name, str):
            field = f"menuItems[{position}]"
            raise BadRequest(Problem("wrong_type", field, f"{field} must be an item's name."))
    return [item_name(name) for name in value]


def _order_json(order: Order, lines: Iterable[Line | OrderLine]) -> dict[str, Any]:
    """The order as the original answered it, one item a portion, and where to follow it."""
    portions = [portion for line in lines for portion in [_portion_json(line)] * line.quantity]
    return {
        "id": str(order.uuid),
        "items": portions,
        "totalPrice": float(order.total_price),
        "totalPrepTime": order.total_prep_time,
        "number": order.pk,
        "ticket": reverse("ticket", args=[order.uuid]),
    }


def _portion_json(line: Line | OrderLine) -> dict[str, Any]:
    item = BY_NAME.get(line.name)
    return {
        "id": str(item.id) if item else None,
        "name": line.title,
        "preparationTime": line.preparation_time,
        "price": float(line.unit_price),
    }


def _item_json(item: MenuItem) -> dict[str, Any]:
    return {
        "name": item.title,
        "preparationTime": item.preparation_time,
        "price": float(item.price),
    }


def _status_of(problems: Sequence[Problem]) -> int:
    return 422 if any(problem.code == Refusal.CONFLICT for problem in problems) else 400


def _refusal(problems: Sequence[Problem], *, status: int) -> JsonResponse:
    errors = [
        {"code": problem.code, "field": _field(problem), "message": problem.message}
        for problem in problems
    ]
    return JsonResponse({"errors": errors}, status=status)


def _field(problem: Problem) -> str:
    """Where a client finds the problem: whatever is about an item is in menuItems."""
    return "menuItems" if problem.code in _ABOUT_ITEMS else problem.field
