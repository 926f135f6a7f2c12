"""The page of a launch's record, for the screen and for paper, and its files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from dashboard.launches.record import find_record, is_intact, later_acts, read_body
from dashboard.pages.launches import launch_or_404
from dashboard.pages.record_files import (
    CONTENT_TYPES,
    RecordFile,
    file_name,
    file_text,
    rule_in_words,
    share_of,
    thresholds_set,
)
from dashboard.pages.thresholds import WORDS, shown

#: The files in the order of their links.
_FILES = (
    (RecordFile.JSON, "JSON"),
    (RecordFile.MARKDOWN, "Markdown"),
    (RecordFile.VERSIONS, "CSV of versions"),
    (RecordFile.DISCREPANCIES, "CSV of discrepancies"),
)


@require_safe
@never_cache
@board_access
def launch_record(request: HttpRequest, launch: UUID) -> HttpResponse:
    """The record of a launch; until it is frozen, why there is none."""
    found, record = launch_or_404(launch), find_record(launch)
    context: dict[str, Any] = {"launch": found, "record": record}
    if record is not None:
        body = read_body(record)
        in_force = body["thresholds"]["in_force"]
        context |= {
            "body": body,
            "later": later_acts(record, body),
            "is_intact": is_intact(record),
            "files": _FILES,
            "json_name": file_name(record, body, RecordFile.JSON),
            "versions": [(one, share_of(one["percent"])) for one in body["versions"]],
            "thresholds": [
                (about, what, shown(name, in_force[name])) for name, (about, what) in WORDS.items()
            ],
            "threshold_changes": [
                (one, thresholds_set(one)) for one in body["thresholds"]["changes"]["listed"]
            ],
            "rules": [(one, rule_in_words(one)) for one in body["rules"]["listed"]],
            "sample": [(one, share_of(one["percent"])) for one in body["sample"]],
        }
    return render(request, "dashboard/launch_record.html", context)


@require_safe
@never_cache
@board_access
def launch_record_file(request: HttpRequest, launch: UUID, file: str) -> HttpResponse:
    """One file of a record."""
    record = find_record(launch)
    if record is None or file not in list(RecordFile):
        raise Http404("there is no such file")
    kind = RecordFile(file)
    name = file_name(record, read_body(record), kind)
    return HttpResponse(
        file_text(record, kind).encode("utf-8", "replace"),
        headers={
            "Content-Type": CONTENT_TYPES[kind],
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
