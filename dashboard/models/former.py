"""Tables of the last release, until `manage.py carry_over` has copied their rows."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dashboard.comparison.outcome import Outcome, State
from dashboard.models.orders import choices
from kitchen_worker.contract.messages import Role


class FormerObservation(models.Model):
    """What one version did with one order. Durations are in milliseconds."""

    launch = models.UUIDField()
    order = models.UUIDField()
    version = models.CharField(max_length=40)
    role = models.CharField(max_length=9, choices=choices(Role))
    state = models.CharField(max_length=8, choices=choices(State))
    #: True when the answer came after the deadline had passed.
    late = models.BooleanField(default=False)
    build = models.CharField(max_length=200, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    delivery = models.PositiveIntegerField(default=1)
    placed_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    queue_ms = models.FloatField(null=True)
    handling_ms = models.FloatField(null=True)
    #: The result as JSON text; empty unless handled.
    result = models.TextField(blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    #: The ids of the event that ended it and of its repeats, as JSON text; null while none did.
    event_ids = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "version"], name="one_observation_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.state} {self.order}"


class FormerComparison(models.Model):
    """The comparison of a pair."""

    launch = models.UUIDField()
    order = models.UUIDField()
    #: The version that is compared with the control.
    version = models.CharField(max_length=40)
    outcome = models.CharField(max_length=16, choices=choices(Outcome))
    control_ms = models.FloatField(null=True)
    version_ms = models.FloatField(null=True)
    #: Id of its Signature; null without differences.
    signature = models.BigIntegerField(null=True)
    #: The discrepancies as JSON if the signature is folded, else empty.
    members = models.TextField(blank=True)
    #: True when the version took longer than the control; null unless both handled the order.
    slower = models.BooleanField(null=True)
    compared_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "version"], name="one_comparison_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.outcome} {self.order}"
