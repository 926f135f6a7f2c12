from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, migrations, models

from dashboard.ingest.history import SENT, copy

#: Orders before the oldest that may still be answered which are copied as well: their late answers
#: count, and the board shows them at once.
_RECENT = 10_000
_AT_ONCE = 1000
#: As the last release did, which may have committed late that an order was sent.
_OVERLAP = timedelta(seconds=5)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def begin_after_what_is_there(apps, schema_editor):
    """New orders and observations get ids above those of the tables of the last release."""
    connection = schema_editor.connection
    # The restaurant's orders may be in another database than the dashboard's tables.
    restaurant = connections[DEFAULT_DB_ALIAS]
    tables = restaurant.introspection.table_names()
    orders = _largest(restaurant, "restaurant_order") if "restaurant_order" in tables else 0
    state = apps.get_model("dashboard", "ObserverState")
    begun = {
        "first_order": orders + 1,
        "first_observation": _largest(connection, "dashboard_formerobservation") + 1,
        "swept_until": orders,
    }
    state.objects.using(connection.alias).update_or_create(pk=1, defaults=begun)


def _largest(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT MAX(id) FROM {table}")  # noqa: S608
        return cursor.fetchone()[0] or 0


def keep_examples(apps, schema_editor):
    """Examples move into the row of their discrepancy, each with its hash."""
    alias = schema_editor.connection.alias
    examples, found = apps.get_model("dashboard", "Example").objects.using(alias), {}
    for pk, slot, order in examples.values_list("discrepancy", "slot", "order").iterator():
        found.setdefault(pk, []).append((slot, str(order)))
    discrepancies = apps.get_model("dashboard", "Discrepancy").objects.using(alias)
    for row in discrepancies.filter(pk__in=found):
        # The order in slot 0 is the one whose values are shown: it stays the first.
        row.examples = sorted([_hash(row, one) if slot else 0, one] for slot, one in found[row.pk])
        row.save(update_fields=["examples"])


def _hash(row, order_id):
    text = f"{row.version}\0{row.kind}\0{row.path}\0{order_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())


def order_ids_by_bytes(apps, schema_editor):
    """So that an index finds the ids that begin with some characters."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            'ALTER TABLE dashboard_observedorder ALTER COLUMN order_id TYPE varchar(100) COLLATE "C"'
        )


def order_ids_as_text(apps, schema_editor):
    """SQLite keeps a UUID as its digits alone."""
    alias = schema_editor.connection.alias
    letters = apps.get_model("dashboard", "DeadLetter").objects.using(alias)
    letters.filter(order=None).update(order="")
    if schema_editor.connection.vendor == "postgresql":
        return
    replayed = apps.get_model("dashboard", "ReplayedOrder").objects.using(alias)
    for rows in (letters.exclude(order=""), replayed):
        for pk, order in list(rows.values_list("pk", "order")):
            rows.filter(pk=pk).update(order=str(UUID(order)))


def carry_over_the_newest(apps, schema_editor):
    """Orders that may still be answered are there at once, and the last ones before them."""
    alias, state = schema_editor.connection.alias, apps.get_model("dashboard", "ObserverState")
    row = state.objects.using(alias).get(pk=1)
    newest = row.first_order - 1
    if newest == 0:
        return
    sent = apps.get_model("restaurant", "Order").objects.using(DEFAULT_DB_ALIAS)
    sent = sent.filter(launch__isnull=False, sent_at__isnull=False)
    swept = apps.get_model("dashboard", "Sweep").objects.using(alias)
    swept = {one.launch: None if one.finished else one.swept_until for one in swept.all()}
    first, unswept = newest + 1, newest + 1
    while first > 1 and unswept - first < _RECENT:
        last, first = first - 1, max(1, first - _AT_ONCE)
        orders = list(sent.filter(pk__range=(first, last)).values_list(*SENT))
        for pk, _, launch, _, sent_at, _, _ in orders:
            until = swept.get(launch, _BEGINNING)
            if until is not None and sent_at > until - _OVERLAP:
                unswept = min(unswept, pk)
        copy(orders, first, last)
    row.history_until, row.swept_until = first - 1, unswept - 1
    row.save(update_fields=["history_until", "swept_until"])


def judge_from_the_start(apps, schema_editor):
    """What was being judged again is counted by orders from now on, and begins again."""
    alias = schema_editor.connection.alias
    newest = apps.get_model("dashboard", "ObserverState").objects.using(alias).get(pk=1)
    unfinished = apps.get_model("dashboard", "Rejudging").objects.using(alias)
    unfinished.filter(finished_at=None).update(
        cursor=0, until=newest.first_order - 1, judged=0, changed=0
    )


class Migration(migrations.Migration):
    """What is kept of the last release, in the form of this one."""

    dependencies = [("dashboard", "0018_one_record"), ("restaurant", "0008_one_order_row")]

    operations = [
        migrations.RunPython(begin_after_what_is_there, migrations.RunPython.noop),
        migrations.RunPython(carry_over_the_newest, migrations.RunPython.noop),
        migrations.RunPython(judge_from_the_start, migrations.RunPython.noop),
        migrations.RunPython(keep_examples, migrations.RunPython.noop),
        migrations.RunPython(order_ids_as_text, migrations.RunPython.noop),
        migrations.RunPython(order_ids_by_bytes, migrations.RunPython.noop),
        migrations.AlterField("DeadLetter", "order", models.CharField(blank=True, max_length=100)),
        migrations.DeleteModel("Example"),
        migrations.DeleteModel("Sweep"),
    ]
