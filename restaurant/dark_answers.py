"""Checks that customers got their answers from the control of their order, never from a dark
version."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Q

from restaurant.models import Order


class CheckedAnswers(NamedTuple):
    """How many of some orders are answered, and how many of these by a dark version."""

    answered: int
    dark: int


def check_answers(orders: Collection[UUID], dark: Collection[str]) -> CheckedAnswers:
    """Look at these orders alone, which are to be few. An answer is recorded only if it comes from
    the order's ``control``, so that names who answered."""
    answered = Order.objects.filter(uuid__in=orders, answered_at__isnull=False)
    found = answered.aggregate(answered=Count("pk"), dark=Count("pk", filter=Q(control__in=dark)))
    return CheckedAnswers(found["answered"], found["dark"])
