"""The dashboard as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Nothing starts here: every process is a command of its own."""

    name = "dashboard"
