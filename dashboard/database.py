"""The database of the dashboard's tables: its own if the settings name one, else the default.

No transaction, query or foreign key spans the two.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

#: Its name in Django's settings.
ALIAS = "dashboard" if "dashboard" in settings.DATABASES else DEFAULT_DB_ALIAS
_APP = "dashboard"


def connection() -> BaseDatabaseWrapper:
    """This thread's connection."""
    return connections[ALIAS]


def atomic() -> transaction.Atomic:
    """A transaction of the dashboard's tables only."""
    return transaction.atomic(using=ALIAS)


def tables_in(alias: str) -> list[str]:
    """The dashboard's tables in a database."""
    names = connections[alias].introspection.table_names()
    return [name for name in names if name.startswith(f"{_APP}_")]


def _app_of(model: models.Model | type[models.Model]) -> str:
    return model._meta.app_label  # noqa: SLF001 - documented


def _alias_of(app: str) -> str:
    return ALIAS if app == _APP else DEFAULT_DB_ALIAS


class Router:
    """Routes the dashboard's tables to its database and all others to the default one, including
    permissions and content types of the dashboard's models."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        """The database of a model."""
        return _alias_of(_app_of(model))

    db_for_write = db_for_read

    def allow_relation(self, one: models.Model, other: models.Model, **hints: Any) -> bool:
        """Forbid foreign keys between the two, even if both are the same database."""
        return (_app_of(one) == _APP) == (_app_of(other) == _APP)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """Migrate an app only in its own database; in the other it is only recorded."""
        return db == _alias_of(app_label)
