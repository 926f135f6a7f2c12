"""The restaurant as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from restaurant.checks import check_description, warn_of_a_public_board


class RestaurantConfig(AppConfig):
    name = "restaurant"

    def ready(self) -> None:
        register(warn_of_a_public_board)
        register(check_description, deploy=True)
