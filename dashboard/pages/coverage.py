"""The page of coverage: which combinations of items a version has handled, and which it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from dashboard.board import wording
from dashboard.pages.board import asked_launch
from dashboard.verdict.coverage import Agreement, shapes_of_menu
from dashboard.verdict.evaluation import Evaluation, evaluate
from dashboard.verdict.thresholds import LaunchHealth
from kitchen_worker.contract.messages import Role
from restaurant.menu import BY_NAME
from restaurant.models import Launch

#: Seen and untested shapes that are listed at most.
_LISTED = 100
_UNTESTED_LISTED = 200
_LABELS = {"size": "sizes", "note": "notes", "item": "items", "both": "pairs of items"}
_ORDER = tuple(_LABELS)
#: Which shapes are shown, and the filter's label.
_SHOW = {
    "": "all",
    "untested": "untested",
    "differ": "different results",
    "agree": "same results",
}
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A seen shape as text; ``bar``: its bound as an SVG width."""

    name: str
    kind: str
    seen: str
    differing: str
    differs: bool
    noise: str
    unclear: str
    at_most: str
    bar: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters; invalid ones are ignored."""

    show: str = ""
    kind: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: QueryDict) -> Asked:
        """Read from the address."""
        show, kind = query.get("show", ""), query.get("kind", "")
        return cls(
            show if show in _SHOW else "",
            kind if kind in _LABELS else "",
            query.get("text", "")[:_MAX_TEXT],
        )

    def includes(self, shape: str) -> bool:
        """Whether a shape matches."""
        is_kind = self.kind in ("", _kind(shape))
        return is_kind and self.text.casefold() in name_in_words(shape).casefold()


@require_safe
@never_cache
@board_access
def coverage(request: HttpRequest) -> HttpResponse:
    """The combinations that a dark version has handled, and the untested ones."""
    launch = asked_launch(request)
    dark = _dark_versions(launch) if launch else {}
    wanted = request.GET.get("version", "")
    version = wanted if wanted in dark else next(iter(dark), "")
    evaluation = evaluate(launch.id, version, LaunchHealth()) if launch and version else None
    asked = Asked.of(request.GET)
    return render(
        request,
        "dashboard/coverage.html",
        {
            "launch": launch,
            "versions": list(dark),
            "version": version,
            "is_baseline": dark.get(version) == Role.BASELINE,
            "has_baseline": Role.BASELINE in dark.values(),
            "asked": asked,
            "shows": _SHOW.items(),
            "kinds": _LABELS.items(),
            **(_shapes(evaluation, asked) if evaluation else {}),
        },
    )


def _dark_versions(launch: Launch) -> dict[str, str]:
    """The dark versions with their roles, candidates first."""
    dark = sorted(launch.dark_versions.all(), key=lambda one: one.role != Role.CANDIDATE)
    return {one.version: one.role for one in dark}


def _shapes(evaluation: Evaluation, asked: Asked) -> Mapping[str, object]:
    found = evaluation.coverage
    untested = found.unseen(shapes_of_menu(list(BY_NAME)))
    untested = sorted(untested, key=lambda shape: (_ORDER.index(_kind(shape)), shape))
    if asked.show in ("", "untested"):
        listed = [shape for shape in untested if asked.includes(shape)]
    else:
        listed = []
    seen = [] if asked.show == "untested" else [one for one in found.seen if asked.includes(one)]
    tested = found.agreements(
        *(evaluation.accepted, evaluation.noise),
        shapes=seen,
        differing={"differ": True, "agree": False}.get(asked.show),
        most=_LISTED,
    )
    return {
        "tested": [shape_in_words(one) for one in tested],
        "tested_count": len(found.seen),
        "untested": _by_kind(listed[:_UNTESTED_LISTED]),
        "untested_listed": min(len(listed), _UNTESTED_LISTED),
        "untested_of": len(listed),
        "untested_count": len(untested),
        "most": _LISTED,
        "full": found.full,
    }


def _by_kind(shapes: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Names of shapes by the label of their kind; the shapes must be sorted by kind."""
    return [
        (_LABELS[kind], [name_in_words(shape) for shape in own])
        for kind, own in groupby(shapes, key=_kind)
    ]


def _kind(shape: str) -> str:
    return shape.partition(":")[0]


def shape_in_words(one: Agreement) -> Shape:
    return Shape(
        name=name_in_words(one.shape),
        kind=_kind(one.shape),
        seen=wording.count(one.seen),
        differing=wording.count(one.seen - one.agreed),
        differs=one.agreed < one.seen,
        noise=wording.count(one.noise),
        unclear=wording.count(one.unclear) if one.unclear else "",
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
