"""System checks of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from kitchen_worker.amqp.settings import Problem, settings_of
from restaurant.description import DescriptionFunction
from restaurant.environment import Environment

#: One id per setting, never reused for another.
IDS = {setting.variable: setting.check_id for setting in settings_of(Environment)}


def cannot_start(problems: Iterable[Problem]) -> str:
    """The text for a process that can't start: every wrong setting, and what is allowed."""
    lines = [
        f"  {problem}{f' ({IDS[problem.name]})' if problem.name in IDS else ''}"
        for problem in problems
    ]
    return "\n".join(["Dark Kitchen cannot start with these settings:", *lines])


def check_description(
    app_configs: Sequence[Any] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Import the description function, which may run any code. So only the observer does this,
    and an explicit check."""
    path = settings.ENVIRONMENT.order_description
    try:
        DescriptionFunction(path)
    except ValueError as cause:
        setting = "ORDER_DESCRIPTION"
        hint = f"Name a function that can be imported in {setting}, or unset it."
        return [checks.Error(f"{setting}: {cause}", hint=hint, id=IDS[setting])]
    return []


def warn_of_a_public_board(
    app_configs: Sequence[Any] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn of a public board under any host name."""
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
