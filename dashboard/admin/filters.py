"""Filters of long lists: what can be chosen is known without a look at the table, and choosing
only narrows (see dashboard.admin.narrowing)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.admin.periods import Period, span, years
from dashboard.domain.comparing.judgement import GroupKind
from dashboard.domain.decision import Decision
from dashboard.domain.outcome import Outcome, State
from dashboard.models.choices import choices
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch

#: Launches to choose from, and those whose versions are.
_LAUNCHES = 30


class Chosen(admin.SimpleListFilter):
    """A filter that leaves the list to the admin that reads what was chosen."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The same list."""
        return queryset


class LaunchFilter(Chosen):
    """The launch: one of the newest."""

    title = "launch"
    parameter_name = "launch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The newest launches."""
        return [(str(one.pk), one.name) for one in Launch.objects.all()[:_LAUNCHES]]


class OneLaunchFilter(LaunchFilter):
    """The launch, the newest one where none is chosen."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Without "all"."""
        every, *launches = super().choices(changelist)
        if every["selected"] and launches:
            launches[0]["selected"] = True
        yield from launches


class VersionFilter(Chosen):
    """A version of the newest launches."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Their controls, where they have a part in the list, and their dark versions."""
        launches = list(Launch.objects.all()[:_LAUNCHES])
        dark = DarkVersion.objects.filter(launch__in=launches).values_list("version", flat=True)
        controls = {launch.control for launch in launches} if model_admin.shows_control else set()
        return [(name, name) for name in sorted(controls | set(dark))]


class KindFilter(Chosen):
    """One of a fixed number of words."""

    words: ClassVar[type[StrEnum]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words."""
        return choices(self.words)


class OutcomeFilter(KindFilter):
    """A pair's outcome."""

    title, parameter_name, words = "outcome", "outcome", Outcome


class StateFilter(KindFilter):
    """How far a version is with an order."""

    title, parameter_name, words = "state", "state", State


class RoleFilter(KindFilter):
    """A version's part."""

    title, parameter_name, words = "role", "role", Role


class DecisionFilter(KindFilter):
    """What was decided on a discrepancy."""

    title, parameter_name, words = "state", "state", Decision


class GroupKindFilter(KindFilter):
    """What is different."""

    title, parameter_name, words = "kind", "kind", GroupKind


class PlacedFilter(Chosen):
    """When the order was placed: years, and within what is chosen the next smaller periods."""

    title = "time of the order"
    parameter_name = "placed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What was chosen, what that is part of, and its parts."""
        whole = span()
        if whole is None:
            return []
        chosen = Period.read(request.GET.get(self.parameter_name, ""))
        if chosen is None:
            return [(one.address, one.label) for one in years(*whole)]
        way = [*chosen.above(), chosen]
        parts = [(one.address, f"… {one.label}") for one in chosen.parts(*whole)]
        return [(one.address, one.label) for one in way] + parts
