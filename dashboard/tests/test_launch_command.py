"""``manage.py launch``: the acts of the pages, in a terminal."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from dashboard.models import LaunchDecision
from restaurant.launches import purges_wanted
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def run(*words: str) -> str:
    out = StringIO()
    call_command("launch", *words, stdout=out)
    return out.getvalue()


def test_a_whole_launch_is_run_in_a_terminal() -> None:
    run("start", "--candidate", "vnext=5", "--baseline", "vlatest-b=20", "--by", "ada")
    assert "vnext 5 % \N{RIGHTWARDS ARROW} 50 %" in run("percent", "vnext=50", "--why", "calm")
    assert "vmine" in run("add", "vmine=1", "--why", "another one")
    assert "5,000 orders" in run("plan", "--orders", "5000", "--why", "as agreed")
    assert run("stop", "vnext", "--why", "it fails") == "vnext gets no orders\n"
    assert "ended" in run("end", "--why", "over")
    assert "decided by ada" in run("abandon", "vnext", "--why", "it fails", "--by", "ada")
    listed = run("list")
    assert "vnext vs. vlatest" in listed
    assert "vnext (candidate, 0 %), abandon decided by ada (command line)" in listed
    launch = Launch.objects.get()
    assert [one.kind for one in launch.changes.all()][::-1] == [
        "started", "percent", "added", "planned", "percent", "ended",
    ]  # fmt: skip


def test_a_decision_against_the_verdict_needs_a_second_person_where_the_settings_say_so(
    settings: Settings,
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, decision_needs_second_person=True)
    run("start")
    assert "second person" in run("promote", "vnext", "--why", "we know", "--by", "ada")
    with pytest.raises(CommandError, match="a second person must confirm it"):
        run("confirm", "vnext", "--why", "yes", "--by", "ada")
    assert "against the verdict" in run("confirm", "vnext", "--why", "seen it", "--by", "bo")
    assert LaunchDecision.objects.filter(step="decided", opposed=True).count() == 1


def test_what_is_refused_says_why_and_changes_nothing() -> None:
    with pytest.raises(CommandError, match="no launch is open"):
        run("stop", "vnext", "--why", "it fails")
    with pytest.raises(CommandError, match="there is no such launch"):
        run("abandon", "vnext", "--why", "it fails")
    run("start")
    with pytest.raises(CommandError, match="has no candidate 'vlatest-b'"):
        run("promote", "vlatest-b", "--why", "why not")
    with pytest.raises(CommandError, match="has no dark version 'nobody'"):
        run("stop", "nobody", "--why", "it fails")
    assert not LaunchDecision.objects.exists()


def test_a_stop_can_have_the_relay_purge_the_queue() -> None:
    run("start")
    assert "the relay purges its queue" in run("stop", "vnext", "--purge", "--why", "it fails")
    assert [one.version for one in purges_wanted()] == ["vnext"]
