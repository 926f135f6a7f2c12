"""The part of each evidence that some orders change: read with two queries, whatever its size.

By hand, in place of a model: what is settled, and the history, are long, and not looked at here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from dashboard import models
from dashboard.observing.evidence import as_text, sums_in
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.tally import Tally
from dashboard.verdict.timing import Timing

#: Of the stored sums: a release that stores them otherwise begins anew.
FORMAT = 2


class Epoch(NamedTuple):
    """A version, its build, the control's and the baseline's: a new one starts with no memory.

    A baseline of which no build is known yet has none; the first one that is goes on with it.
    """

    version: str
    control_build: str
    version_build: str
    baseline_build: str = ""


class Touched(NamedTuple):
    """An evidence with those of its blocks that change; ``coverage`` is JSON text."""

    id: int
    coverage: str
    revision: int
    tally: Tally


class _Row(NamedTuple):
    """The columns that are read, in the order of the query."""

    id: int
    version: str
    key: str
    coverage: str = ""
    revision: int = 0
    threshold: int | None = None
    closed_until: int | None = None
    settled_until: int | None = None
    late: int = 0
    lost: int = 0
    bad: int = 0


_ROWS = """
SELECT id, version, key, coverage, revision, threshold, closed_until, settled_until, late, lost, bad
FROM dashboard_evidence WHERE launch = %s AND key IN ({})
"""
_BLOCKS = """
SELECT evidence_id, number, CASE WHEN number IN ({numbers}) THEN sums END
FROM dashboard_evidenceblock WHERE evidence_id IN ({rows})
"""


def touched(
    launch: UUID, numbers: Mapping[Epoch, Collection[int]], timing: Timing, now: datetime
) -> dict[Epoch, Touched]:
    """The evidence of each epoch with the blocks of these numbers; made where there is none.

    To be called under the lock of the launch's tallies.
    """
    rows = _rows(launch, numbers, timing, now)
    blocks = _blocks([row.id for row in rows.values()], set().union(*numbers.values()))
    return {
        epoch: Touched(
            row.id, row.coverage, row.revision, _tally(row, timing, blocks[row.id], numbers[epoch])
        )
        for epoch, row in rows.items()
    }


def _rows(
    launch: UUID, epochs: Iterable[Epoch], timing: Timing, now: datetime
) -> dict[Epoch, _Row]:
    # Those with a baseline's build first: the one without may be what they go on with.
    epochs = sorted(epochs, key=lambda epoch: not epoch.baseline_build)
    unnamed = [epoch._replace(baseline_build="") for epoch in epochs]
    wanted = sorted({_key(epoch, timing) for epoch in (*epochs, *unnamed)})
    with connection.cursor() as cursor:
        cursor.execute(_ROWS.format(_marks(wanted)), [launch.hex, *wanted])
        stored = {(row.version, row.key): row for row in map(_Row._make, cursor.fetchall())}
    found = {}
    for epoch, before in zip(epochs, unnamed, strict=True):
        key = _key(epoch, timing)
        row = stored.get((epoch.version, key))
        # Once for all: what one build goes on with is not another's as well.
        if row is None and (row := stored.pop((epoch.version, _key(before, timing)), None)):
            stored[epoch.version, key] = row
            models.Evidence.objects.filter(pk=row.id).update(
                key=key, baseline_build=epoch.baseline_build
            )
        found[epoch] = row or _new(launch, epoch, key, timing, now)
    return found


def _new(launch: UUID, epoch: Epoch, key: str, timing: Timing, now: datetime) -> _Row:
    row = models.Evidence.objects.create(
        launch=launch,
        key=key,
        timing=asdict(timing),
        started_at=now,
        newest_at=now,
        **epoch._asdict(),
    )
    return _Row(row.pk, epoch.version, key)


@lru_cache(maxsize=64)
def _key(epoch: Epoch, timing: Timing) -> str:
    text = as_text([FORMAT, *epoch[1:], asdict(timing)])
    return hashlib.sha256(text.encode()).hexdigest()


def _blocks(
    rows: Collection[int], numbers: Collection[int]
) -> defaultdict[int, dict[int, str | None]]:
    """All blocks by evidence, and of these numbers what is stored in them."""
    found: defaultdict[int, dict[int, str | None]] = defaultdict(dict)
    with connection.cursor() as cursor:
        query = _BLOCKS.format(numbers=_marks(numbers), rows=_marks(rows))
        cursor.execute(query, [*numbers, *rows])
        for row, number, sums in cursor.fetchall():
            found[row][number] = sums
    return found


def _tally(
    row: _Row, timing: Timing, stored: Mapping[int, str | None], numbers: Collection[int]
) -> Tally:
    blocks = {number: sums_in(text) for number in numbers if (text := stored.get(number))}
    return Tally(
        timing,
        Evidence(threshold=row.threshold),
        blocks,
        row.closed_until,
        row.settled_until,
        row.late,
        row.lost,
        row.bad,
        apart=len(stored) - len(blocks),
    )


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))
