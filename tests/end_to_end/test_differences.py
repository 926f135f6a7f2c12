"""What differs in a rush, counted twice: by the product, and by other means over what it stored."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from local.postgres import private_postgres
from tests.end_to_end.test_launch import frames, shell_kitchen, until_all_observed, until_observed
from tests.stack import EVERYTHING, KITCHENS, Stack, a_stack, until

pytestmark = pytest.mark.broker

TOO_MANY = ("failed", "TooManyPortions")
#: What was planted in vnext, and what is noise: each once, and nothing else.
PLANTED = {
    "vnext": {
        ("value", "total_price"),
        ("value", "note"),
        ("value", "actual_minutes"),
        ("value", "cook"),
        TOO_MANY,
    },
    "vlatest-b": {("value", "cook")},
}
_NOTHING = object()


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url) as one:
        yield one


def test_a_rush_shows_what_was_planted_and_the_noise_each_once_and_nothing_else(
    stack: Stack,
) -> None:
    rush_and_recount(stack, orders=2000)
    stack.start("site")
    (frame,) = asyncio.run(frames(stack, 1))
    listed = ElementTree.fromstring(f"<div>{frame['parts']['discrepancies']}</div>")  # noqa: S314
    shown = [
        (kind.text or "", path.text.partition(":")[0])
        for row in listed.iter("tr")
        if (kind := row.find(".//*[@class='kind']/span")) is not None
        and (path := row.find(".//code")) is not None
        and path.text
    ]
    planted = [(kind.replace("_", " "), path) for kind, path in PLANTED["vnext"]]
    assert sorted(shown) == sorted(planted)


@pytest.mark.postgres
def test_a_rush_is_counted_the_same_on_postgresql(tmp_path: Path, amqp_url: str) -> None:
    with private_postgres() as url, a_stack(tmp_path, amqp_url, DATABASE_URL=url) as stack:
        rush_and_recount(stack, orders=600)


def rush_and_recount(stack: Stack, *, orders: int) -> None:
    """Rush orders through all kitchens, and hold the discrepancies against an own count."""
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", str(orders), "--rate", "200", "--seed", "7")
    until_all_observed(stack)
    for version, planted in PLANTED.items():
        counted = found(stack, version)
        assert counted == recount(stack, version)
        assert set(counted) == planted


def found(stack: Stack, version: str) -> dict[tuple[str, str], int]:
    """The product's discrepancies of a version: pairs by kind and path."""
    rows = stack.query(
        "select kind, path, count, ignored from dashboard_discrepancy where version = ?", version
    )
    assert all(ignored == 0 for *_, ignored in rows)
    counts = {(kind, path.partition(":")[0]): count for kind, path, count, _ in rows}
    assert len(counts) == len(rows), "a kind of difference is listed twice"
    return counts


def recount(stack: Stack, version: str) -> dict[tuple[str, str], int]:
    """The same from the stored answers, by flat lists of every value and none of the product."""
    answers: defaultdict[Any, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for order, name, state, result, error in stack.query(
        'select "order", version, state, result, error_type from observations'
        " where version in ('vlatest', ?)",
        version,
    ):
        answers[order][name] = state, result, error
    counts: Counter[tuple[str, str]] = Counter()
    for pair in answers.values():
        if len(pair) == 2:
            counts.update(shown_by(pair["vlatest"], pair[version]))
    return dict(counts)


def shown_by(control: tuple[str, str, str], version: tuple[str, str, str]) -> set[tuple[str, str]]:
    """What one pair shows."""
    assert control[0] == "handled"
    if version[0] == "failed":
        return {("failed", version[2])}
    ours, theirs = (
        dict(flat(json.loads(result, parse_float=Decimal))) for _, result, _ in (control, version)
    )
    paths = ours.keys() | theirs.keys()
    return {
        ("value", "".join(f".{step}" if isinstance(step, str) else "[]" for step in path)[1:])
        for path in paths
        if ours.get(path, _NOTHING) != theirs.get(path, _NOTHING)
    }


def flat(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a document with its path."""
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in steps:
        if isinstance(inner, dict | list):
            yield from flat(inner, (*path, step))
        else:
            yield (*path, step), inner


REJUDGED = "select cursor, until, finished_at is not null from dashboard_rejudging"
#: All live numbers of a launch.
LIVE = tuple(
    f"select * from dashboard_{table} order by id"  # noqa: S608 - our own names
    for table in ("observation", "participant", "timeslice", "signature")
)
ANSWERED = "select count(*) from dashboard_replayedorder where state = 'handled'"
IGNORE_COOK = """
from datetime import timedelta
from dashboard import models
from dashboard.review.proposals import request_rejudging
from kitchen_worker.contract.messages import utc_now
from restaurant.models import Launch
models.Rule.objects.create(path="cook", treatment="ignore", reason="chance", author="ada",
                           created_at=utc_now())
request_rejudging(Launch.objects.get().id, author="ada", now=utc_now() + timedelta(seconds=1))
"""
SEND_AGAIN = """
from dashboard.models import Discrepancy
from dashboard.review.replays import request_replay
from kitchen_worker.contract.messages import utc_now
from restaurant.models import Launch
about = Discrepancy.objects.get(version={version!r}, kind={kind!r}, path={path!r})
request_replay(about, launch=Launch.objects.get(), revision=about.revision, author="ada",
               close_when_agreed=True, now=utc_now())
"""


def send_again(stack: Stack, version: str, kind: str, path: str) -> None:
    stack.manage("shell", "-c", SEND_AGAIN.format(version=version, kind=kind, path=path))


def test_an_observer_that_is_killed_goes_on_judging_the_past_and_replaying(stack: Stack) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "1500", "--rate", "300", "--seed", "7")
    until_all_observed(stack)
    before = found(stack, "vnext")

    stack.manage("shell", "-c", IGNORE_COOK)
    until(lambda: stack.query(REJUDGED)[0][0] > 0, "some of the past is judged")
    stack.stop("observer", with_signal=signal.SIGKILL)
    assert not stack.query(REJUDGED)[0][2], "it was killed too late"
    stack.start("observer")
    until(lambda: stack.query(REJUDGED)[0][2], "all of the past is judged")
    cook = "select count, ignored from dashboard_discrepancy where version = 'vnext' and path = ?"
    assert stack.query(cook, "cook") == [(0, before["value", "cook"])]
    assert stack.query(cook, "note") == [(before["value", "note"], 0)]

    live = [stack.query(numbers) for numbers in LIVE]
    stack.stop("vnext")
    stack.start("vnext", options=["--mend", "float-prices"])
    send_again(stack, "vnext", "value", "total_price")
    until(lambda: stack.number(ANSWERED) > 0, "some orders are answered again")
    stack.stop("observer", with_signal=signal.SIGKILL)
    stack.start("observer")
    state = "select state from dashboard_discrepancy where version = 'vnext' and path = ?"
    until(lambda: stack.query(state, "total_price") == [("fixed",)], "it is closed on evidence")
    wanted = min(1000, before["value", "total_price"])
    ((note, author),) = stack.query("select note, author from dashboard_review")
    proved = f"{wanted:,} of {wanted:,} orders agree there"
    assert note == f"{proved} in build shipped, mended: float-prices."
    assert author == "ada"
    assert [stack.query(numbers) for numbers in LIVE] == live


def test_a_kitchen_that_knows_nothing_of_replays_answers_one(stack: Stack) -> None:
    ((launch,),) = stack.query("select id from restaurant_launch")
    stack.query(
        "insert into restaurant_darkversion (launch_id, version, role, percent)"
        " values (?, 'vshell', 'candidate', 100)",
        launch,
    )
    stack.start(*EVERYTHING)
    stack.post_order(["burger", "fries"])
    until_all_observed(stack)
    with shell_kitchen(stack):
        until_observed(stack, "vshell", 1)
        cook = "select count(*) from dashboard_discrepancy where version = 'vshell' and path = ?"
        until(lambda: stack.number(cook, "cook") == 1, "the pair is judged")
        before = stack.query("select * from dashboard_observation order by id")
        send_again(stack, "vshell", "value", "cook")
        done = "select count(*) from dashboard_replay where finished_at is not null"
        until(lambda: stack.number(done) == 1, "the replay is finished")
    again = stack.query("select state, shows, build, error_message from dashboard_replayedorder")
    assert again == [("handled", 1, "kitchen.sh", "")]
    assert stack.query("select * from dashboard_observation order by id") == before
    dead = "select count(*) from dashboard_deadletter"
    assert stack.number(dead) == 0
