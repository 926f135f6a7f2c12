"""Who may review: the login for strangers, a refusal for those who may not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from dashboard.access import REVIEW, RULE, access_by, may_review

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@access_by(REVIEW)
def reviewing(request: HttpRequest) -> HttpResponse:
    """Something that only reviewers do."""
    return HttpResponse("done")


def a_request(user: User | AnonymousUser, method: str = "POST", **headers: str) -> HttpRequest:
    request = RequestFactory().generic(method, "/dashboard/rules/new/?path=a", headers=headers)
    request.user = user
    return request


def a_user(*permissions: str, is_active: bool = True) -> User:
    user = User.objects.create_user("ada", is_active=is_active)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def test_a_reviewer_passes() -> None:
    user = a_user("add_review")
    assert may_review(user)
    assert reviewing(a_request(user)).status_code == 200


def test_who_is_logged_in_and_may_not_is_refused() -> None:
    user = a_user("view_review")
    assert not may_review(user)
    with pytest.raises(PermissionDenied):
        reviewing(a_request(user))
    with pytest.raises(PermissionDenied):
        access_by(RULE)(reviewing)(a_request(user))


def test_who_was_locked_out_may_nothing() -> None:
    assert not may_review(a_user("add_review", is_active=False))
    assert not may_review(AnonymousUser())


def test_a_stranger_is_sent_to_the_login_and_back_to_the_page_but_never_to_an_act() -> None:
    page = reviewing(a_request(AnonymousUser(), "GET"))
    assert page.headers["Location"].endswith("?next=/dashboard/rules/new/%3Fpath%3Da")
    act = reviewing(a_request(AnonymousUser(), "POST"))
    assert act.headers["Location"].endswith("?next=/dashboard/")
    part = reviewing(a_request(AnonymousUser(), "POST", **{"HX-Request": "true"}))
    assert part.headers["HX-Redirect"].endswith("?next=/dashboard/")
    assert part.status_code == 200
