"""An order's message moves into the order's row, and the outbox keeps what waits alone."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import restaurant.models

_COLUMNS: dict[str, Any] = {
    "body": models.BinaryField(default=b""),
    "sample": models.JSONField(default=list),
    "launch_change": models.PositiveBigIntegerField(db_default=0, default=0),
    "sent_at": models.DateTimeField(blank=True, null=True),
    "times_again": models.PositiveSmallIntegerField(db_default=0, default=0),
    "again_at": models.DateTimeField(blank=True, null=True),
    "again_reason": models.CharField(
        blank=True,
        choices=[
            ("unanswered", "no answer in time"),
            ("unrouted", "the control's queue was missing"),
            ("handed over", "its own control was retired"),
        ],
        db_default="",
        default="",
        max_length=12,
    ),
}

#: Django would copy SQLite's whole table for each column that is not null.
_ON_SQLITE = {
    "body": "BLOB NOT NULL DEFAULT X''",
    "sample": "text NOT NULL DEFAULT '[]' CHECK ((JSON_VALID(sample) OR sample IS NULL))",
    "launch_change": "bigint unsigned NOT NULL DEFAULT 0 CHECK (launch_change >= 0)",
    "sent_at": "datetime NULL",
    "times_again": "smallint unsigned NOT NULL DEFAULT 0 CHECK (times_again >= 0)",
    "again_at": "datetime NULL",
    "again_reason": "varchar(12) NOT NULL DEFAULT ''",
}

#: In one statement for all orders, SQLite would keep all new values in a temporary table first.
_AT_ONCE = 10_000
_FILL = f"""
    UPDATE restaurant_order SET {", ".join(f"{name} = letter.{name}" for name in _COLUMNS)}
    FROM restaurant_letter AS letter
    WHERE letter.order_id = restaurant_order.id AND restaurant_order.id BETWEEN %s AND %s
"""  # noqa: S608
_WAITING = """
    INSERT INTO restaurant_outboxmessage (order_id)
    SELECT order_id FROM restaurant_letter WHERE sent_at IS NULL
"""
_BACK = f"""
    INSERT INTO restaurant_letter (order_id, launch_id, {", ".join(_COLUMNS)})
    SELECT id, launch_id, {", ".join(_COLUMNS)} FROM restaurant_order
    WHERE sent_at IS NOT NULL OR id IN (SELECT order_id FROM restaurant_outboxmessage)
"""  # noqa: S608


def add_columns(apps: Any, schema_editor: Any) -> None:
    """Add the columns of a message to the orders."""
    order = apps.get_model("restaurant", "Order")
    for name in _COLUMNS:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(
                f"ALTER TABLE restaurant_order ADD COLUMN {name} {_ON_SQLITE[name]}"
            )
        else:
            schema_editor.add_field(order, order._meta.get_field(name))  # noqa: SLF001


def prepare(apps: Any, schema_editor: Any) -> None:
    """Leave room in PostgreSQL's pages for the changes that each order sees: while an order fits
    into its page, its indexes stay as they are. Of the indexes, only the one of random ids is slow
    to keep while all rows are written again."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE restaurant_order SET (fillfactor = 70)")
        schema_editor.execute(
            "ALTER TABLE restaurant_order DROP CONSTRAINT restaurant_order_uuid_key"
        )


def fill(apps: Any, schema_editor: Any) -> None:
    """Copy the messages into the orders' rows."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT MIN(id), MAX(id) FROM restaurant_order")
        least, most = cursor.fetchone()
        for first in range(least, most + 1, _AT_ONCE) if most else ():
            cursor.execute(_FILL, [first, first + _AT_ONCE - 1])


def index_ids(apps: Any, schema_editor: Any) -> None:
    """Index the ids again."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "ALTER TABLE restaurant_order ADD CONSTRAINT restaurant_order_uuid_key UNIQUE (uuid)"
        )


def remove_columns(apps: Any, schema_editor: Any) -> None:
    """Remove them."""
    order = apps.get_model("restaurant", "Order")
    for name in _COLUMNS:
        schema_editor.remove_field(order, order._meta.get_field(name))  # noqa: SLF001


class Migration(migrations.Migration):
    dependencies = [
        ("restaurant", "0007_version_names"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField("order", name, field) for name, field in _COLUMNS.items()
            ]
        ),
        migrations.RunPython(add_columns, remove_columns),
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="outbox_message",
                        serialize=False,
                        to="restaurant.order",
                    ),
                ),
            ],
        ),
        migrations.RemoveIndex(model_name="order", name="orders_of_a_launch"),
        migrations.RunPython(prepare, migrations.RunPython.noop),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(_WAITING, _BACK),
        migrations.RunPython(index_ids, migrations.RunPython.noop),
        migrations.DeleteModel(name="Letter"),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("times_again__gt", 0)),
                fields=["launch", "again_reason"],
                name="sent_again",
            ),
        ),
        # Nothing in the database: SQLite would copy the whole table.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="order",
                    name="uuid",
                    field=models.UUIDField(
                        default=restaurant.models.uuid7, editable=False, unique=True
                    ),
                ),
            ]
        ),
    ]
