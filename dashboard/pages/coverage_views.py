"""The page of shapes: which kinds of order a version has seen, and which it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from dashboard.board import wording
from dashboard.domain.verdict.coverage import Agreement, shapes_of_menu
from dashboard.pages.launches import asked_launch
from dashboard.reviewing.verdicts import Weighed, weigh
from kitchen_worker.contract.messages import Role
from restaurant.menu import BY_NAME
from restaurant.models import Launch

#: Shapes that were seen and are listed, those that agree least first.
_LISTED = 100
_LABELS = {"size": "sizes", "note": "notes", "item": "items", "both": "two items together"}
_ORDER = tuple(_LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape that was seen, in words; ``bar`` is the width of its bound in SVG's words."""

    name: str
    kind: str
    seen: str
    agreed: str
    differing: int
    at_most: str
    bar: str


@require_safe
@never_cache
@board_access
def coverage(request: HttpRequest) -> HttpResponse:
    """What one dark version of a launch has seen."""
    launch = asked_launch(request)
    versions = _dark_versions(launch) if launch else []
    asked = request.GET.get("version", "")
    version = asked if asked in versions else next(iter(versions), "")
    weighed = weigh(launch.id, version, behind_s=None) if launch and version else None
    return render(
        request,
        "dashboard/coverage.html",
        {
            "launch": launch,
            "versions": versions,
            "version": version,
            **(_shapes(weighed) if weighed else {}),
        },
    )


def _dark_versions(launch: Launch) -> list[str]:
    """The dark versions, candidates first."""
    dark = sorted(launch.dark_versions.all(), key=lambda one: one.role != Role.CANDIDATE)
    return [one.version for one in dark]


def _shapes(weighed: Weighed) -> Mapping[str, object]:
    found = weighed.coverage
    unseen = found.unseen(shapes_of_menu(list(BY_NAME)))
    return {
        "seen": [shape_in_words(one) for one in found.agreements(weighed.accepted, most=_LISTED)],
        "seen_count": len(found.seen),
        "unseen": _by_kind(unseen),
        "unseen_count": len(unseen),
        "full": found.full,
    }


def _by_kind(shapes: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Labels of kinds, each with its shapes' names."""
    ordered = sorted(shapes, key=lambda shape: (_ORDER.index(_kind(shape)), shape))
    return [
        (_LABELS[kind], [name_in_words(shape) for shape in own])
        for kind, own in groupby(ordered, key=_kind)
    ]


def _kind(shape: str) -> str:
    return shape.partition(":")[0]


def shape_in_words(one: Agreement) -> Shape:
    """A shape as the page lists it."""
    return Shape(
        name=name_in_words(one.shape),
        kind=_kind(one.shape),
        seen=wording.count(one.seen),
        agreed=wording.part(one.agreed / one.seen),
        differing=one.seen - one.agreed,
        at_most=wording.percent(one.at_most),
        bar=f"{100 * one.at_most:.1f}%",
    )


def name_in_words(shape: str) -> str:
    """``small orders``, ``with a note``, ``fries``, ``burger and fries``."""
    kind, _, name = shape.partition(":")
    if kind == "size":
        return f"{name} orders"
    if kind == "note":
        return "with a note" if name == "yes" else "without a note"
    return " and ".join(_title(item) for item in name.split("+"))


def _title(item: str) -> str:
    return BY_NAME[item].title.lower() if item in BY_NAME else item
