"""The verdict's word: the broker is asked only if nothing but the backlog is open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dashboard.launches import words
from dashboard.launches.words import words_now
from dashboard.verdict.assessment import Assessment, Run
from dashboard.verdict.traffic import Traffic
from kitchen_worker.contract.messages import Role
from restaurant.launches import start_launch
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


class Judged(Assessment):
    """An assessment with this verdict."""

    def __init__(self, verdict: dict[str, Any]) -> None:
        super().__init__(state=Run.RUNNING, since=None, samples=(), final=None, evaluation=None)
        object.__setattr__(self, "found", verdict)

    @property
    def verdict(self) -> dict[str, Any]:
        """As given."""
        found: dict[str, Any] = self.__dict__["found"]
        return found


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(50))]
    return start_launch("November", "vlatest", dark, author="ada", reason="a try")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The versions whose queue lengths are asked for; all are empty."""
    versions: list[list[str]] = []

    def ask(_: str, names: list[str], *, patience_s: float) -> dict[str, int]:
        assert patience_s <= 1
        versions.append(names)
        return {f"kitchen.{name}": 0 for name in names}

    monkeypatch.setattr(words, "ask_for_depths", ask)
    return versions


def judge_by(monkeypatch: pytest.MonkeyPatch, **standings: str) -> None:
    """Ready once the queue lengths are known; before, these requirements stand so."""

    def assess(_: Launch, version: str, traffic: Traffic) -> Assessment:
        known = bool(traffic.queues)
        rows = [
            {"key": key.replace("_", " "), "standing": "passed" if known else standing}
            for key, standing in standings.items()
        ]
        word = "ready" if known else "not yet"
        return Judged({"word": word, "sentence": f"{version} is {word}", "requirements": rows})

    monkeypatch.setattr(words, "assess", assess)


def test_a_candidate_whose_backlog_alone_is_unknown_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, launch: Launch, asked: list[list[str]]
) -> None:
    judge_by(monkeypatch, speed="passed", keeping_up="not yet")
    assert words_now(launch)["vnext"].word == "ready"
    assert asked == [["vlatest", "vnext"]]


def test_the_broker_is_left_alone_while_anything_else_is_open(
    monkeypatch: pytest.MonkeyPatch, launch: Launch, asked: list[list[str]]
) -> None:
    judge_by(monkeypatch, speed="not yet", keeping_up="not yet")
    assert words_now(launch)["vnext"].slug == "not-yet"
    assert asked == []
