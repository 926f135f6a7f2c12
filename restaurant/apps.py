"""The restaurant as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from restaurant.checks import warn_of_a_public_board


class RestaurantConfig(AppConfig):
    """Registers what is warned of."""

    name = "restaurant"

    def ready(self) -> None:
        register(warn_of_a_public_board)
