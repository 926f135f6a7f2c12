"""The original restaurant's HTTP API: orders and the menu as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from restaurant.environment import Door
from restaurant.menu import BY_NAME, MENU, MenuItem
from restaurant.models import Order, OrderLine
from restaurant.orders import place_order
from restaurant.pricing import (
    OrderProblem,
    OrderRefused,
    PricedLine,
    Refusal,
    lines_from_menu,
    normalised_name,
)
from restaurant.visitors import order_wait_s

#: Largest body of a request, in bytes.
MAX_BODY = 64 * 1024

_TOO_LARGE = "body_too_large"
_ITEMS, _NOTE = "menuitems", "note"
#: How error messages spell the properties; requests may use any case.
_SPELLING = {_ITEMS: "menuItems", _NOTE: "note"}
_ABOUT_ITEMS = frozenset(Refusal) - {Refusal.WRONG_NOTE, Refusal.WRONG_KEY, Refusal.CONFLICT}
#: Items by the names that clients may use: name or title.
_KNOWN_NAMES = {
    normalised_name(called): item.name for item in MENU for called in (item.name, item.title)
}


class BadRequest(ValueError):
    """Raised when a request is invalid; holds the problems."""

    def __init__(self, *problems: OrderProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


_View = Callable[[HttpRequest], HttpResponseBase]


def _endpoint(*methods: str) -> Callable[[_View], _View]:
    """Allow only ``methods``, and answer every refusal in the same JSON shape."""

    def decorate(view: _View) -> _View:
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if request.method not in methods:
                message = f"{request.method} is not allowed here; use {', '.join(methods)}."
                response = _refusal([OrderProblem("method_not_allowed", "", message)], status=405)
                response["Allow"] = ", ".join(methods)
                return response
            try:
                return view(request)
            except BadRequest as cause:
                is_too_large = cause.problems[0].code == _TOO_LARGE
                return _refusal(cause.problems, status=413 if is_too_large else 400)
            except OrderRefused as cause:
                return _refusal(cause.problems, status=_status_of(cause.problems))
            except (OperationalError, InterfaceError):
                message = (
                    "The database is unavailable; retry, with an Idempotency-Key to order once."
                )
                return _refusal([OrderProblem("unavailable", "", message)], status=503)

        return csrf_exempt(guarded)

    return decorate


@_endpoint("POST")
def orders(request: HttpRequest) -> HttpResponseBase:
    """Place an order: ``{"menuItems": ["burger", "fries"], "note": "no onions"}``."""
    if wait_s := order_wait_s(request):
        message = f"Too many orders from your address; try again in {wait_s} s."
        response = _refusal([OrderProblem("too_many_requests", "", message)], status=429)
        response["Retry-After"] = str(wait_s)
        return response
    names, note = _read_order(_read_body(request))
    key = request.headers.get("Idempotency-Key")
    lines = lines_from_menu(Counter(_KNOWN_NAMES.get(name, name) for name in names))
    order = place_order(lines, note=note, idempotency_key=key)
    return JsonResponse(_order_json(order, lines if key is None else order.lines.all()))


@_endpoint("GET", "HEAD")
def items(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse([_item_json(item) for item in MENU], safe=False)


@_endpoint("GET", "HEAD")
def health(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse({"health": "ok"})


@_endpoint("GET", "HEAD")
def ready(request: HttpRequest) -> HttpResponseBase:
    """Whether the databases answer; customers' pages need only the orders' database."""
    needs_all = settings.ENVIRONMENT.door is Door.DASHBOARD
    for alias in connections if needs_all else [DEFAULT_DB_ALIAS]:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
    return JsonResponse({"ready": True})


def _read_body(request: HttpRequest) -> Any:
    raw = request.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise BadRequest(OrderProblem(_TOO_LARGE, "", f"A body has at most {MAX_BODY} bytes."))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise BadRequest(OrderProblem("not_utf8", "", "The body is not UTF-8.")) from cause
    try:
        return json.loads(text, object_pairs_hook=_Properties, parse_constant=_no_constant)
    except RecursionError as cause:
        raise BadRequest(OrderProblem("not_json", "", "The body is nested too deeply.")) from cause
    except ValueError as cause:
        raise BadRequest(OrderProblem("not_json", "", f"The body is not JSON: {cause}")) from cause


class _Properties(tuple[tuple[str, Any], ...]):
    """The properties of a JSON object as written, including repeated ones."""

    __slots__ = ()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _read_order(body: Any) -> tuple[list[str], str]:
    """The items' names and the note; property names may be in any case."""
    if not isinstance(body, _Properties):
        raise BadRequest(OrderProblem("wrong_type", "", "The body must be a JSON object."))
    found: dict[str, Any] = {}
    for name, value in body:
        known = name.lower()
        if known in found and known in _SPELLING:
            field = _SPELLING[known]
            raise BadRequest(OrderProblem("duplicate_property", field, f"{field} is there twice."))
        found[known] = value
    if _ITEMS not in found:
        raise BadRequest(OrderProblem("missing_property", "menuItems", "menuItems is missing."))
    note = found.get(_NOTE)
    if not isinstance(note, str | None):
        raise BadRequest(OrderProblem("wrong_type", "note", "note must be text."))
    return _names(found[_ITEMS]), note or ""


def _names(value: Any) -> list[str]:
    # Objects are tuples here, and a text is not a list.
    if not isinstance(value, list):
        raise BadRequest(OrderProblem("wrong_type", "menuItems", "menuItems must be a list."))
    for position, name in enumerate(value):
        if not isinstance(name, str):
            field = f"menuItems[{position}]"
            raise BadRequest(OrderProblem("wrong_type", field, f"{field} must be an item's name."))
    return [normalised_name(name) for name in value]


def _order_json(order: Order, lines: Iterable[PricedLine | OrderLine]) -> dict[str, Any]:
    """The order as the original API answered it, one item per portion, plus its ticket."""
    portions = [portion for line in lines for portion in [_portion_json(line)] * line.quantity]
    return {
        "id": str(order.uuid),
        "items": portions,
        "totalPrice": float(order.total_price),
        "totalPrepTime": order.total_prep_time,
        "number": order.pk,
        "ticket": reverse("ticket", args=[order.uuid]),
    }


def _portion_json(line: PricedLine | OrderLine) -> dict[str, Any]:
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


def _status_of(problems: Sequence[OrderProblem]) -> int:
    return 422 if any(problem.code == Refusal.CONFLICT for problem in problems) else 400


def _refusal(problems: Sequence[OrderProblem], *, status: int) -> JsonResponse:
    errors = [
        {"code": problem.code, "field": _field(problem), "message": problem.message}
        for problem in problems
    ]
    return JsonResponse({"errors": errors}, status=status)


def _field(problem: OrderProblem) -> str:
    """The field that a client knows: everything about items is in menuItems."""
    return "menuItems" if problem.code in _ABOUT_ITEMS else problem.field
