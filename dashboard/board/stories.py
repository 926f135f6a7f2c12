"""All that is known of one order: what was asked, and what every version did."""

from __future__ import annotations

from uuid import UUID

from dashboard.board.frames import Json
from dashboard.models import DeadLetter, Observation
from dashboard.verdict.traffic import ROLE_ORDER
from kitchen_worker.contract.messages import Role
from restaurant.models import Letter, Order

#: Dead letters of one order that are shown, the newest.
MOST_DEAD_LETTERS = 20


def order_story(uuid: UUID) -> Json | None:
    """One order with its observations, the control's first; None if there is no such order."""
    order = Order.objects.select_related("launch", "letter").filter(uuid=uuid).first()
    if order is None:
        return None
    letter: Letter | None = getattr(order, "letter", None)
    observations = sorted(
        Observation.objects.filter(order=uuid),
        key=lambda one: (ROLE_ORDER[Role(one.role)], one.version),
    )
    return {
        "order": order,
        "lines": list(order.lines.all()),
        "launch": order.launch,
        "observations": observations,
        "dead_letters": DeadLetter.objects.filter(order=uuid)[:MOST_DEAD_LETTERS],
        "sample": letter.sample if letter else [],
        "sent_at": letter.sent_at if letter else None,
        "message": bytes(letter.body).decode("utf-8", "replace") if letter else "",
    }
