"""Fills an empty database with so many observed orders of one launch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.db import connection, transaction

from bench.growth.bulk import Bulk
from bench.growth.bulk_postgresql import Postgresql
from bench.growth.bulk_sqlite import Sqlite
from bench.growth.copying import GROWING, copy, drop_moulds, table_of, take_moulds
from bench.growth.names import Period
from bench.growth.period import record_period
from bench.growth.totals import close_periods, multiply, review_some
from restaurant.models import Launch

#: Hears what is done, and how far it is, from 0 to 1.
Progress = Callable[[str, float], None]
#: Periods that one statement copies.
_AT_ONCE = 5


class NotEmpty(RuntimeError):
    """Raised when there is a launch in the database already."""


def grow(orders: int, *, seed: int, period: Period, say: Progress) -> int:
    """Fill the tables, and say how many orders there are then: whole periods.

    A database in which this was interrupted is of no use.
    """
    if Launch.objects.exists():
        raise NotEmpty("an empty database is wanted: there is a launch in this one")
    period = replace(period, orders=min(orders, period.orders))
    periods = -(-orders // period.orders)
    bulk: Bulk = (Postgresql if connection.vendor == "postgresql" else Sqlite)(seed, period.seconds)
    bulk.ready()
    say("recording the first period", 0.0)
    with transaction.atomic():
        record_period(period, seed)
    with transaction.atomic():
        _copy_all(bulk, periods, period, say)
    bulk.finish([table_of(model) for model in GROWING])
    say("counting", 0.0)
    with transaction.atomic():
        multiply(periods, period, seed)
        review_some(period.start(periods))
        close_periods(periods, period, lambda done: say("weighing", done / periods))
    return periods * period.orders


def _copy_all(bulk: Bulk, periods: int, period: Period, say: Progress) -> None:
    moulds = take_moulds()
    tables = [mould.table for mould in moulds]
    bulk.empty(tables)
    with bulk.without_indexes(tables):
        for first in range(0, periods, _AT_ONCE):
            last = min(first + _AT_ONCE, periods) - 1
            copy(moulds, bulk, period, first=first, last=last)
            say("copying", (last + 1) / periods)
        drop_moulds(moulds)
        say("building indexes", 0.0)
