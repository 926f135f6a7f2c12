"""``manage.py verdict``: what the board says, for people, programs and a pipeline's gate."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from pytest_django.fixtures import Settings

from dashboard.fold.evidence import key_of
from dashboard.fold.records import Epoch
from dashboard.ingest.evidence import save_blocks, timing_in_force, whole_tally
from dashboard.management.commands import verdict as verdict_command
from dashboard.management.commands.verdict import NOTHING_TO_SAY
from dashboard.models import Evidence, Participant
from dashboard.tests.factories import START, a_launch
from dashboard.verdict.closing import close_blocks
from dashboard.verdict.paired_order import OrderStatus, PairedOrder, Result
from kitchen_worker.contract.topology import kitchen_queue
from restaurant.models import DarkVersion, Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

_ORDERS = 4000
_PER_SECOND = 10


@pytest.fixture(autouse=True)
def empty_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker in whose queues nothing waits."""
    monkeypatch.setattr(
        verdict_command,
        "ask_for_depths",
        lambda url, versions: dict.fromkeys(map(kitchen_queue, versions), 0),
    )


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        (None, "did not answer"),
        ({}, "has no queue kitchen.vnext"),
    ],
)
def test_an_answer_without_the_broker_says_why_it_is_not_yet(
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    depths: dict[str, int] | None,
    said: str,
) -> None:
    url = "amqp://cook:secret@broker.example/kitchen,amqps://cook:secret@other:5671/?cafile=/ca"
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, amqp_url=url)
    weigh(launch, faster)
    monkeypatch.setattr(verdict_command, "ask_for_depths", lambda url, versions: depths)
    code, out = run("--json")
    keeping_up = json.loads(out)["requirements"][-1]
    assert (code, keeping_up["standing"], keeping_up["word"]) == (10, "not yet", "unknown")
    text = f"unknown: the broker at broker.example:5672/kitchen, other:5671 {said}"
    assert keeping_up["text"] == text
    assert text in run()[1]
    assert "secret" not in out + run()[1]


def test_an_answer_names_the_database_and_the_broker_that_were_asked(
    launch: Launch, settings: Settings
) -> None:
    weigh(launch, faster)
    asked = json.loads(run("--json")[1])["asked"]
    assert asked["broker"] == "127.0.0.1:5672"
    database = settings.DATABASES["default"]
    host = f"{database['HOST']}/" if database["HOST"] else ""
    assert asked["database"] == f"{host}{database['NAME']}"
    assert f"asked: {asked['database']}, broker {asked['broker']}\n" in run()[1]


def test_a_database_that_does_not_answer_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(verdict_command, "newest_launch", lost)
    with pytest.raises(CommandError, match=r"No answer: .* connection refused") as refused:
        call_command("verdict")
    assert refused.value.returncode == 1


@pytest.fixture
def launch() -> Launch:
    launch = a_launch()
    DarkVersion.objects.filter(launch=launch, role="baseline").delete()
    return launch


def weigh(launch: Launch, candidate: Callable[[float, random.Random], Result]) -> None:
    """Orders for four hundred seconds; what a candidate does depends on the control's time."""
    rng, timing = random.Random(1), timing_in_force()
    ended_at = START + timedelta(seconds=_ORDERS / _PER_SECOND)
    evidence, _ = Evidence.objects.get_or_create(
        launch=launch.id,
        version="vnext",
        key=key_of(Epoch("vnext", "", ""), timing),
        defaults={"timing": asdict(timing), "started_at": ended_at, "newest_at": ended_at},
    )
    tally = whole_tally(evidence)
    for number in range(_ORDERS):
        ms = 50 * rng.lognormvariate(0, 0.5)
        order = PairedOrder(
            placed_at=START.timestamp() + number / _PER_SECOND,
            control=Result(OrderStatus.OK, ms),
            candidate=candidate(ms * rng.lognormvariate(0, 0.1), rng),
        )
        tally.add_all([order])
    evidence.lost = tally.lost
    evidence.revision += 1
    evidence.save()
    save_blocks((evidence.pk, number, sums) for number, sums in tally.blocks.items())
    close_blocks(ended_at + timedelta(minutes=2))


def faster(ms: float, rng: random.Random) -> Result:
    return Result(OrderStatus.OK, ms * 0.7)


def twice_as_slow(ms: float, rng: random.Random) -> Result:
    return Result(OrderStatus.OK, ms * 2)


def a_little_slower(ms: float, rng: random.Random) -> Result:
    return Result(OrderStatus.OK, ms * rng.lognormvariate(0.0195, 0.05))


def silent(ms: float, rng: random.Random) -> Result:
    return Result(OrderStatus.MISSING) if rng.random() < 0.1 else Result(OrderStatus.OK, ms)


def run(*arguments: str) -> tuple[int, str]:
    """The command's exit code, and what it printed."""
    out = io.StringIO()
    try:
        call_command("verdict", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize(
    ("candidate", "code", "said"),
    [
        (faster, 0, "vnext is READY: 30 % faster (30 to 31 %), fails no more often"),
        (a_little_slower, 10, "NOT YET: "),
        (twice_as_slow, 20, "WORSE: vnext: "),
        (silent, 30, "WITHHELD: not comparable: only the candidate's results are missing on "),
    ],
)
def test_the_exit_code_is_the_word(
    launch: Launch, candidate: Callable[..., Result], code: int, said: str
) -> None:
    weigh(launch, candidate)
    found, out = run()
    assert out.startswith(said)
    assert found == code


def test_people_read_the_sentence_the_requirements_and_the_warnings(launch: Launch) -> None:
    weigh(launch, silent)
    _, out = run("--version", "vnext", "--launch", str(launch.id))
    sentence, empty, *rows = out.splitlines()
    assert sentence.startswith("WITHHELD: ")
    assert empty == ""
    assert [row.split("  ")[1] for row in rows[:6]] == [
        "speed", "failures", "slow orders", "differences", "completeness", "keeping up",
    ]  # fmt: skip
    assert "pairs in 34 blocks of 10 s (10 orders a second), 42 s behind the orders" in out
    assert "\nnote: 10 % of results are missing: speed could be off by " in out


def test_programs_read_json(launch: Launch) -> None:
    weigh(launch, twice_as_slow)
    code, out = run("--json")
    said: dict[str, Any] = json.loads(out)
    assert code == 20
    assert (said["launch"], said["version"], said["word"]) == (str(launch.id), "vnext", "worse")
    assert len(said["requirements"]) == 6


def test_before_the_first_pair_there_is_nothing_to_say(launch: Launch) -> None:
    assert run() == (NOTHING_TO_SAY, "Nothing is known of vnext yet.\n")
    assert run("--json") == (NOTHING_TO_SAY, "null\n")


def test_while_the_feed_is_stale_there_is_no_verdict(launch: Launch) -> None:
    weigh(launch, faster)
    Participant.objects.create(
        launch=launch.id, version="vlatest", role="control", orders=1, newest_at=timezone.now()
    )
    assert run()[0] == 0
    Participant.objects.update(newest_at=START)
    code, out = run()
    assert code == 30
    assert out.startswith("WITHHELD: events are stale: newest event ")


@pytest.mark.parametrize(
    "wrong", [["--version", "vmine"], ["--version", "vlatest-b"], ["--launch", str(uuid4())],
              ["--launch", "November"]],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_a_code_of_its_own(wrong: list[str]) -> None:
    a_launch()
    with pytest.raises(CommandError) as refused:
        call_command("verdict", *wrong)
    assert refused.value.returncode == NOTHING_TO_SAY
    assert wrong[1] in str(refused.value)


def test_without_a_launch_there_is_nothing_to_say() -> None:
    with pytest.raises(CommandError) as refused:
        call_command("verdict")
    assert refused.value.returncode == NOTHING_TO_SAY
