"""What is said of settings: why a process cannot start, and what it warns of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from kitchen_worker.amqp.settings import Problem

#: One id a setting, in the order of the README's table; ids are never used again for another.
IDS = {
    "SECRET_KEY": "restaurant.E001",
    "DEBUG": "restaurant.E002",
    "ALLOWED_HOSTS": "restaurant.E003",
    "CSRF_TRUSTED_ORIGINS": "restaurant.E004",
    "DATABASE_URL": "restaurant.E005",
    "AMQP_URL": "restaurant.E006",
    "BOARD_PUBLIC": "restaurant.E007",
    "HTTPS": "restaurant.E021",
    "DEADLINE_SECONDS": "restaurant.E009",
    "QUEUE_TYPE": "restaurant.E010",
    "DARK_QUEUE_TYPE": "restaurant.E022",
    "RESEND_SECONDS": "restaurant.E023",
    "HEALTH_PORT": "restaurant.E015",
    "LOG_LEVEL": "restaurant.E016",
    "STATIC_ROOT": "restaurant.E017",
    "HEALTH_HOST": "restaurant.E018",
    "BLOCK_SECONDS": "restaurant.E019",
    "WARM_UP_SECONDS": "restaurant.E020",
    "REQUEST_SECONDS": "restaurant.E029",
    "TRUSTED_PROXIES": "restaurant.E030",
    "ORDERS_PER_MINUTE": "restaurant.E024",
    "LOGINS_PER_MINUTE": "restaurant.E025",
    "LOGIN_FAILURES": "restaurant.E026",
    "LOGIN_LOCK_SECONDS": "restaurant.E027",
    "SOCKETS_PER_CLIENT": "restaurant.E028",
}


def cannot_start(problems: Iterable[Problem]) -> str:
    """Why a process cannot start: every wrong setting, what is wrong, and the way out."""
    lines = [
        f"  {problem}{f' ({IDS[problem.name]})' if problem.name in IDS else ''}"
        for problem in problems
    ]
    return "\n".join(["Dark Kitchen cannot start with these settings:", *lines])


def warn_of_a_public_board(
    app_configs: Sequence[Any] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn of a board that everybody may see under any host name."""
    environment = settings.ENVIRONMENT
    if not environment.board_public or "*" not in environment.allowed_hosts:
        return []
    return [
        checks.Warning(
            "The board is public, and every host name is allowed.",
            hint="Unset BOARD_PUBLIC, or name your hosts in ALLOWED_HOSTS.",
            id="restaurant.W001",
        )
    ]
