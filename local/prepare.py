"""Prepares the database of `make run`: tables, demo login, first launch."""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from local.settings import DEMO_USER, kept_secrets, run_directory


def prepare() -> None:
    """Idempotent."""
    call_command("check")
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    _keep_demo_login(kept_secrets(run_directory(os.environ)).demo_password)
    call_command("start_launch", if_none=True)


def _keep_demo_login(password: str) -> None:
    user, created = get_user_model().objects.get_or_create(
        username=DEMO_USER, defaults={"is_staff": True, "is_superuser": True}
    )
    if created or not user.check_password(password):
        user.set_password(password)
        user.save()


def main() -> int:
    """Prepare, or print in one line what is wrong."""
    django.setup()
    try:
        prepare()
    except (SystemCheckError, CommandError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
