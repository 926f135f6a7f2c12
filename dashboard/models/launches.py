"""Ramp plans of launches, and what guards did."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.db.models import Q

from dashboard.comparison.foreign_text import visible
from dashboard.models.orders import choices


class RampState(StrEnum):
    RUNNING = "running"
    #: A person or the plan itself paused it; only a person resumes it.
    PAUSED = "paused"
    #: All its steps are done.
    FINISHED = "finished"
    #: A person cancelled it, or its launch ended.
    STOPPED = "stopped"


OPEN_RAMPS = (RampState.RUNNING, RampState.PAUSED)


class RampPlan(models.Model):
    """The planned percents of one candidate of a launch, and how far it is.

    The percent is the restaurant's and changes in a transaction of its own: ``applied`` tells
    whether the current step's percent was set.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: dashboard.launches.ramp.Step as JSON, in ascending order of percent.
    steps = models.JSONField()
    state = models.CharField(
        max_length=8, choices=choices(RampState), default=RampState.RUNNING.value
    )
    #: The current step, from 0.
    step = models.PositiveSmallIntegerField(default=0)
    #: When the current step began, or began again.
    since = models.DateTimeField()
    #: Orders that the version had answered by then.
    orders_before = models.PositiveBigIntegerField(default=0)
    #: The percent before the current step.
    percent_before = models.DecimalField(max_digits=5, decimal_places=2)
    applied = models.BooleanField(default=False)
    #: Why it is paused or stopped.
    why = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    set_at = models.DateTimeField()
    #: Rises with every change, so that concurrent changes conflict.
    revision = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version"],
                name="one_open_ramp_plan",
                condition=Q(state__in=[state.value for state in OPEN_RAMPS]),
            )
        ]

    def __str__(self) -> str:
        return visible(f"ramp plan of {self.version}: {self.state}")


class RampChangeKind(StrEnum):
    SET = "set"
    STEP = "step"
    PAUSED = "paused"
    RESUMED = "resumed"
    FINISHED = "finished"
    STOPPED = "stopped"


class RampChange(models.Model):
    """One change of a ramp plan, by a person or by the plan itself. It is never changed."""

    plan = models.ForeignKey(RampPlan, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=8, choices=choices(RampChangeKind))
    #: The step after the change, from 0.
    step = models.PositiveSmallIntegerField()
    author = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return visible(f"{self.kind} by {self.author}")


class Guard(StrEnum):
    """What stops a candidate by itself; the name is part of the author of its changes."""

    WORSE = "worse"
    QUEUE_FULL = "queue full"
    CONTROL_SLOWED = "control slowed"


class GuardAction(models.Model):
    """A candidate that a guard stopped. It is shown until a person acknowledges it."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    guard = models.CharField(max_length=20, choices=choices(Guard))
    #: Why, with the numbers.
    why = models.CharField(max_length=500)
    at = models.DateTimeField()
    #: The candidate's percent before.
    percent = models.DecimalField(max_digits=5, decimal_places=2)
    #: When the percent was set to 0; null while that is still to be done.
    stopped_at = models.DateTimeField(null=True)
    #: The orders of the evidence at that time, and the build that it is on.
    orders = models.PositiveBigIntegerField(default=0)
    build = models.CharField(max_length=200, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version", "guard"],
                name="one_guard_action_until_acknowledged",
                condition=Q(acknowledged_at__isnull=True),
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["-id"],
                name="unacknowledged_guard_actions",
                condition=Q(acknowledged_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return visible(f"{self.guard}: {self.version}")
