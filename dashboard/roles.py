"""Groups with the permissions of the usual roles: viewer, reviewer, operator, admin.

Each role includes those before it. ``manage.py migrate`` makes the groups, and adds the permissions
that one of them lacks; it removes none.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps as everything
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS
from django.db.migrations.state import StateApps

#: Apps whose permissions are given; they may be migrated later than the dashboard.
_APPS = ("restaurant", "dashboard", "auth")
#: The permissions that each role adds, as in ``dashboard.add_review``; "view" stands for seeing
#: everything, "*" for all that an app allows.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": ("restaurant.view", "dashboard.view"),
    "reviewer": ("dashboard.add_review", "dashboard.add_rule", "dashboard.add_replay"),
    "operator": (
        "restaurant.add_launch",
        "restaurant.change_launch",
        "dashboard.add_launchrequirements",
        "dashboard.add_launchdecision",
    ),
    "admin": ("restaurant.*", "dashboard.*", "auth.*"),
}


def make_groups(
    using: str = DEFAULT_DB_ALIAS, apps: Apps | StateApps = everything, **_: Any
) -> None:
    """Make the groups; idempotent. Called after each migration of the dashboard."""
    try:
        group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:  # its tables are still to come
        return
    if using != DEFAULT_DB_ALIAS:
        return
    for name in _APPS:
        # Django does so as well, but only after this.
        create_permissions(everything.get_app_config(name), verbosity=0, using=using, apps=apps)
    known = {
        (one.content_type.app_label, one.codename): one
        for one in permission.objects.select_related("content_type")
    }
    names: list[str] = []
    for role, adds in ROLES.items():
        names += adds
        made, _created = group.objects.get_or_create(name=role)
        made.permissions.add(
            *(one for key, one in known.items() if any(_gives(name, *key) for name in names))
        )


def _gives(name: str, app: str, codename: str) -> bool:
    """Whether a role's entry is, or includes, a permission."""
    of, _, what = name.partition(".")
    return of == app and (
        what == "*" or what == codename or (what == "view" and codename.startswith("view_"))
    )
