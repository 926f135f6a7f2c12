"""Rules: differences that are known and disregarded, and the past being judged by them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dashboard.domain.comparing.rules import Treatment
from dashboard.domain.foreign_text import visible
from dashboard.models.choices import choices


class Rule(models.Model):
    """A kind of difference to ignore, why, and on whose word. It is ended, never changed."""

    #: A glob over grouped paths, as in ``items[].minutes`` or ``**.cook``.
    path = models.CharField(max_length=250)
    treatment = models.CharField(max_length=9, choices=choices(Treatment))
    #: The dark version that it is for; empty for all.
    version = models.CharField(max_length=40, blank=True)
    #: Of a tolerance: the largest distance, absolute and as a part of the larger number.
    absolute = models.FloatField(null=True, blank=True)
    relative = models.FloatField(null=True, blank=True)
    #: Of a keyed list: the field by whose value members are matched.
    key = models.CharField(max_length=100, blank=True)
    #: Of a replacement: the regular expression (RE2), and what stands in place of its matches.
    pattern = models.CharField(max_length=500, blank=True)
    replacement = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return visible(f"{self.treatment} {self.path}")


class Rejudging(models.Model):
    """The stored pairs of a launch being judged anew by some rules: how far it has come.

    The observer does it, a chunk at a time, beside its live work.
    """

    launch = models.UUIDField()
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    #: Ids of the rules in force when it was asked for, the oldest first.
    rules = models.JSONField(default=list)
    #: Ids of comparisons: up to where it has come, and where it ends.
    cursor = models.BigIntegerField(default=0)
    until = models.BigIntegerField()
    #: Pairs with differences that were judged, and that now show others than before.
    judged = models.PositiveBigIntegerField(default=0)
    changed = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.launch}: {self.judged} judged"
