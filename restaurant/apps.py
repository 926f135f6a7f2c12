"""The restaurant as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from restaurant.checks import settings_are_right


class RestaurantConfig(AppConfig):
    """Registers the check of the settings."""

    name = "restaurant"

    def ready(self) -> None:
        register(settings_are_right)
