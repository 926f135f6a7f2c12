"""Rules for near times, for null as absent, and for the values of an object."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

_TREATMENTS = (
    "ignore", "tolerance", "decimal", "unordered", "keyed", "replace", "times", "null", "values",
)  # fmt: skip


class Migration(migrations.Migration):
    """Nothing changes in the database: the choices are checked before a rule is stored."""

    dependencies: ClassVar = [("dashboard", "0015_builds")]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="rule",
            name="treatment",
            field=models.CharField(choices=[(one, one) for one in _TREATMENTS], max_length=9),
        )
    ]
