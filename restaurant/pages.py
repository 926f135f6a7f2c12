"""The customer's pages: the order page with its live total, and the ticket."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from restaurant.forms import OrderForm
from restaurant.models import Order
from restaurant.orders import place_order
from restaurant.pricing import OrderRefused
from restaurant.tickets import Ticket
from restaurant.visitors import order_wait_s

logger = logging.getLogger(__name__)

_AWAY = "The database is unavailable. Your order is still here: try again in a moment."
_TOO_MANY = "Too many orders came from your address. Yours is still here: try again in {} s."


class PageRequest(HttpRequest):
    """A request after HtmxMiddleware."""

    htmx: HtmxDetails


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def menu(request: PageRequest) -> HttpResponse:
    if request.method == "POST":
        return _place(request)
    return _order_page(request, OrderForm(request.GET or None, may_be_empty=True))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def quote(request: PageRequest) -> HttpResponse:
    """Total and minutes of the form, before the order is placed."""
    if request.method != "POST":
        return redirect("menu")
    form = OrderForm(request.POST, may_be_empty=True)
    if request.htmx:
        return render(request, "restaurant/_quote.html", {"form": form})
    return _order_page(request, form)


@never_cache
@require_safe
def ticket(request: PageRequest, uuid: UUID) -> HttpResponse:
    """A ticket is visible to everyone who knows its id."""
    return render(request, "restaurant/ticket.html", {"ticket": _ticket(uuid)})


@never_cache
@require_safe
def ticket_state(request: PageRequest, uuid: UUID) -> HttpResponse:
    """The ticket's change since it was rendered, and when to ask again."""
    found = _ticket(uuid)
    changed = request.GET.get("seen") != found.phase
    context = {"ticket": found, "changed": changed}
    return render(request, "restaurant/_ticket_state.html", context)


def _place(request: PageRequest) -> HttpResponse:
    form = OrderForm(request.POST)
    status = 422
    if wait_s := order_wait_s(request):
        form.add_error(None, _TOO_MANY.format(wait_s))
        page = _order_page(request, form, status=429)
        page.headers["Retry-After"] = str(wait_s)
        return page
    if form.is_valid():
        try:
            order = place_order(
                form.lines, note=form.cleaned_data["note"], idempotency_key=form.key
            )
        except OrderRefused as refusal:
            form.refuse(refusal)
        except (OperationalError, InterfaceError) as cause:
            logger.warning("order not placed: %s", cause, extra={"action": "db_away"})
            form.add_error(None, _AWAY)
            status = 503
        else:
            return _to_ticket(request, order)
    return _order_page(request, form, status=status)


def _to_ticket(request: PageRequest, order: Order) -> HttpResponse:
    url = reverse("ticket", args=[order.uuid])
    if request.htmx:
        return HttpResponseClientRedirect(url)
    return HttpResponse(status=303, headers={"Location": url})


def _order_page(request: PageRequest, form: OrderForm, *, status: int = 200) -> HttpResponse:
    template = "restaurant/_order_form.html" if request.htmx else "restaurant/menu.html"
    return render(request, template, {"form": form}, status=status)


def _ticket(uuid: UUID) -> Ticket:
    order = get_object_or_404(Order.objects.prefetch_related("lines"), uuid=uuid)
    return Ticket(order, timezone.now())
