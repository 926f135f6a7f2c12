"""The groups that a migration makes."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from dashboard.access import (
    CHANGE_LAUNCH,
    DECIDE,
    REPLAY,
    REQUIRE,
    REVIEW,
    RULE,
    START_LAUNCH,
    may,
)
from dashboard.roles import ROLES, make_groups

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

ACTS = {REVIEW, RULE, REPLAY, REQUIRE, START_LAUNCH, CHANGE_LAUNCH, DECIDE}


def a_user(role: str) -> User:
    user = User.objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.mark.parametrize(
    ("role", "acts"),
    [
        ("viewer", set()),
        ("reviewer", {REVIEW, RULE, REPLAY}),
        ("operator", ACTS),
        ("admin", ACTS),
    ],
)
def test_a_role_may_do_what_its_name_says(role: str, acts: set[str]) -> None:
    make_groups()
    user = a_user(role)
    assert {act for act in ACTS if may(user, act)} == acts
    assert may(user, "dashboard.view_discrepancy")
    assert may(user, "auth.change_user") == (role == "admin")


def test_migrating_again_restores_the_groups_and_keeps_what_was_added() -> None:
    make_groups()
    viewer, reviewer = (Group.objects.get(name=name) for name in ("viewer", "reviewer"))
    extra = Permission.objects.get(codename="add_rule")
    viewer.permissions.add(extra)
    lost = Permission.objects.get(codename="add_review")
    reviewer.permissions.remove(lost)
    Group.objects.filter(name="operator").delete()
    call_command("migrate", verbosity=0)
    assert extra in viewer.permissions.all()
    assert lost in reviewer.permissions.all()
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
