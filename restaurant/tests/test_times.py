"""Times in pages: in UTC without JavaScript, and marked up for the script."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from restaurant.environment import BASE_DIR
from restaurant.templatetags.times import moment

TEMPLATES = [
    path for path in sorted((BASE_DIR / "templates").rglob("*.html")) if "admin" not in path.parts
]


def test_a_time_is_named_in_utc_with_all_that_the_script_needs() -> None:
    berlin = timezone(timedelta(hours=1))
    written = moment(datetime(2026, 11, 30, 3, 39, 7, tzinfo=berlin), "j M Y, H:i:s", "first")

    assert written == (
        '<time class="first" datetime="2026-11-30T02:39:07+00:00" data-clock="j M Y, H:i:s">'
        "30 Nov 2026, 02:39:07 UTC</time>"
    )


def test_no_template_writes_a_time_of_day_in_another_way() -> None:
    assert TEMPLATES
    written = {
        path.name: found
        for path in TEMPLATES
        if (found := re.findall(r'\|(?:date|time):"[^"]*[HhGgPis][^"]*"', path.read_text()))
    }

    assert written == {}
