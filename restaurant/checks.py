"""What is said of settings: why a process cannot start, and what it warns of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from kitchen_worker.amqp.settings import Problem, settings_of
from restaurant.environment import Environment

#: One id a setting; ids are never used again for another.
IDS = {setting.variable: setting.check_id for setting in settings_of(Environment)}


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
