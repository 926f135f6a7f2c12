"""Replays: orders sent again to one dark version, and what it made of them, apart from the live."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import ClassVar

from django.db import models

from dashboard.domain.outcome import Outcome
from dashboard.models.choices import choices
from dashboard.models.discrepancies import Discrepancy


class ReplayState(StrEnum):
    """How far a version is with an order that it was sent again."""

    WAITING = "waiting"
    SENT = "sent"
    HANDLED = "handled"
    FAILED = "failed"
    MISSING = "missing"


class Replay(models.Model):
    """Orders that showed a discrepancy, sent again to one dark version and to nobody else."""

    discrepancy = models.ForeignKey(Discrepancy, on_delete=models.PROTECT, related_name="replays")
    #: The launch in which they are sent, and the version to which.
    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    #: Whether the discrepancy is to be closed as fixed when every order agrees.
    close_when_agreed = models.BooleanField(default=True)
    #: The discrepancy's revision that the person saw.
    revision = models.PositiveIntegerField()
    orders = models.PositiveIntegerField()
    #: When the last of its orders was answered or given up.
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.orders} orders again to {self.version}"


class ReplayedOrder(models.Model):
    """One order of a replay, held against the answer that the control gave to the live order."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="replayed_orders")
    #: The live order, and the id under which it is sent again.
    order = models.UUIDField()
    uuid = models.UUIDField(unique=True, default=uuid.uuid4)
    state = models.CharField(
        max_length=7, choices=choices(ReplayState), default=ReplayState.WAITING
    )
    sent_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    build = models.CharField(max_length=200, blank=True)
    handling_ms = models.FloatField(null=True)
    #: The result as JSON text; empty unless handled.
    result = models.TextField(blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    outcome = models.CharField(max_length=16, choices=choices(Outcome), blank=True)
    #: Whether it still shows the discrepancy; null until it is answered.
    shows = models.BooleanField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["id"],
                name="replays_to_send",
                condition=models.Q(state=ReplayState.WAITING.value),
            )
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["replay", "order"], name="one_order_a_replay")
        ]

    def __str__(self) -> str:
        return f"{self.order} again"
