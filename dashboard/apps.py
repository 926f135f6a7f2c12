"""The dashboard as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from dashboard.roles import make_groups


class DashboardConfig(AppConfig):
    """Nothing starts here: every process is a command of its own."""

    name = "dashboard"

    def ready(self) -> None:
        """Permissions exist only after a migration, and so do groups that have them."""
        post_migrate.connect(make_groups, sender=self)
