"""Which launch a page is about: the one that its address names, else the newest."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest

from dashboard.board.frame import find_launch, newest_launch
from restaurant.models import Launch


def asked_launch(request: HttpRequest) -> Launch | None:
    """The launch that a page is to show; None while there is none. Raises Http404."""
    asked = request.GET.get("launch", "")
    if not asked:
        return newest_launch()
    try:
        launch = find_launch(UUID(asked))
    except ValueError:
        raise Http404(f"{asked} is not a launch's id") from None
    if launch is None:
        raise Http404(f"there is no launch {asked}")
    return launch
