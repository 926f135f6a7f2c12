"""Wrong settings as Django system checks, each with an id and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks

#: One id a setting, in the order of the README's table; ids are never used again for another.
IDS = {
    "SECRET_KEY": "restaurant.E001",
    "DEBUG": "restaurant.E002",
    "ALLOWED_HOSTS": "restaurant.E003",
    "CSRF_TRUSTED_ORIGINS": "restaurant.E004",
    "DATABASE_URL": "restaurant.E005",
    "AMQP_URL": "restaurant.E006",
    "BOARD_PUBLIC": "restaurant.E007",
    "SECURE_COOKIES": "restaurant.E008",
    "DEADLINE_SECONDS": "restaurant.E009",
    "QUEUE_TYPE": "restaurant.E010",
    "DARK_QUEUE_LENGTH": "restaurant.E011",
    "DARK_QUEUE_TTL_SECONDS": "restaurant.E012",
    "OBSERVER_QUEUE_LENGTH": "restaurant.E013",
    "DEAD_QUEUE_LENGTH": "restaurant.E014",
    "HEALTH_PORT": "restaurant.E015",
    "LOG_LEVEL": "restaurant.E016",
    "STATIC_ROOT": "restaurant.E017",
    "HEALTH_HOST": "restaurant.E018",
    "BLOCK_SECONDS": "restaurant.E019",
    "WARM_UP_SECONDS": "restaurant.E020",
}


def settings_are_right(
    app_configs: Sequence[Any] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report every setting that could not be read, and a secret key that is not there."""
    environment = settings.ENVIRONMENT
    found: list[checks.CheckMessage] = [
        checks.Error(problem.message, hint=problem.hint, id=IDS[problem.name])
        for problem in environment.problems
    ]
    if not environment.secret_key and not environment.debug:
        found.append(
            checks.Error(
                "SECRET_KEY is not set.",
                hint="Set it to 50 or more random characters, the same for every process.",
                id=IDS["SECRET_KEY"],
            )
        )
    if environment.board_public and "*" in environment.allowed_hosts:
        found.append(
            checks.Warning(
                "The board is public, and every host name is allowed.",
                hint="Unset BOARD_PUBLIC, or name your hosts in ALLOWED_HOSTS.",
                id="restaurant.W001",
            )
        )
    return found
