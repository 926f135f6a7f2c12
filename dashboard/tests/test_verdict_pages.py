"""The pages beside the verdict: how it was computed, and what a version has seen."""

from __future__ import annotations

import re

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from dashboard.pages.coverage import name_in_words, shape_in_words
from dashboard.tests.factories import a_launch
from dashboard.verdict.coverage import Agreement
from local.settings import ROOT

TEMPLATES = ROOT / "templates" / "dashboard"


@pytest.fixture
def watcher() -> Client:
    return Client()


@pytest.mark.django_db
@override_settings(BOARD_PUBLIC=True)
def test_every_link_to_how_leads_to_words_that_are_there(watcher: Client) -> None:
    page = watcher.get(reverse("how")).content.decode()
    ids = set(re.findall(r'id="([a-z-]+)"', page))
    linked = {
        anchor
        for template in TEMPLATES.rglob("*.html")
        for anchor in re.findall(r"{% url 'how' %}#([a-z-]+)", template.read_text())
    }
    own = set(re.findall(r'href="#([a-z-]+)"', page))
    requirements = {
        "speed", "failures", "slow-orders", "differences", "completeness", "keeping-up"
    }  # fmt: skip

    assert linked
    assert linked | own | requirements <= ids | {"main"}


@pytest.mark.django_db
@override_settings(BOARD_PUBLIC=False)
@pytest.mark.parametrize("name", ["how", "coverage"])
def test_who_may_not_watch_is_sent_to_the_login(watcher: Client, name: str) -> None:
    assert watcher.get(reverse(name)).status_code == 302


@pytest.mark.django_db
@override_settings(BOARD_PUBLIC=True)
def test_coverage_says_so_while_nothing_was_seen(watcher: Client) -> None:
    assert "No coverage yet" in watcher.get(reverse("coverage")).content.decode()
    launch = a_launch()
    page = watcher.get(reverse("coverage"), {"launch": str(launch.id), "version": "vlatest-b"})

    assert "Coverage of vlatest-b" in page.content.decode()
    assert "No coverage yet" in page.content.decode()
    assert watcher.get(reverse("coverage"), {"launch": "nonsense"}).status_code == 404


@pytest.mark.django_db
@override_settings(BOARD_PUBLIC=True)
def test_only_who_may_set_the_lines_and_the_percent_is_offered_to(
    watcher: Client, admin_client: Client
) -> None:
    launch = a_launch()
    seen, offered = (
        client.get(reverse("board")).content.decode() for client in (watcher, admin_client)
    )

    offers = ("data-may-review", "data-may-require", "data-may-launch")
    assert [one in seen for one in offers] == [False] * 3
    assert [one in offered for one in offers] == [True] * 3
    address = reverse("launch", args=[launch.pk])
    assert f'class="may-launch" href="{address}">change' in offered


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("size:very large", "very large orders"),
        ("note:yes", "with a note"),
        ("note:no", "without a note"),
        ("item:onion-rings", "onion rings"),
        ("both:burger+gone-from-the-menu", "burger and gone-from-the-menu"),
    ],
)
def test_a_shape_is_said_in_words(shape: str, name: str) -> None:
    assert name_in_words(shape) == name


def test_a_shape_says_how_often_it_was_seen_and_how_often_it_may_differ() -> None:
    shape = shape_in_words(Agreement("item:fries", seen=1200, agreed=1194, at_most=0.0213))

    said = (shape.seen, shape.differing, shape.noise, shape.at_most, shape.bar)
    assert said == ("1,200", "6", "0", "2.1\N{NO-BREAK SPACE}%", "2.1%")
