"""What a ramp plan does: as a table, as a property, and in the tables of both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.launches import ramp
from dashboard.launches.ramp import (
    PATIENCE,
    PRESET,
    Act,
    Facts,
    Move,
    Position,
    RampRefused,
    Step,
    decide,
    read_steps,
)
from dashboard.models import Guard, GuardAction, Participant, RampChange, RampPlan, RampState
from dashboard.tests.factories import START, a_launch
from dashboard.verdict.wording import Word
from restaurant.launches import end_launch, set_percent
from restaurant.models import Launch, LaunchChange

STEPS = (
    Step(Decimal(5), orders=500),
    Step(Decimal(25), orders=500, minutes=10),
    Step(Decimal(100)),
)
MINUTE = timedelta(minutes=1)


def at(step: int = 0, **fields: Any) -> Position:
    """A running plan that has set the percent of its step."""
    known: dict[str, Any] = {
        "steps": STEPS,
        "state": RampState.RUNNING,
        "step": step,
        "since": START,
        "orders_before": 100,
        "percent_before": STEPS[step - 1].percent if step else Decimal(0),
        "applied": True,
    }
    return Position(**{**known, **fields})


def seen(percent: int | None = 5, **fields: Any) -> Facts:
    return Facts(percent=None if percent is None else Decimal(percent), **fields)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("5 % for 500 orders", [Step(Decimal(5), orders=500)]),
        ("5% for 1,000 orders or 10 minutes", [Step(Decimal(5), 1000, 10, either=True)]),
        ("2.5 for 1 order and 0.5 min", [Step(Decimal("2.5"), 1, 0.5)]),
        ("5 % for 1 min\n\n 7,5 %", [Step(Decimal(5), minutes=1), Step(Decimal("7.5"))]),
        ("100", [Step(Decimal(100))]),
    ],
)  # fmt: skip
def test_steps_are_read_as_they_are_written(text: str, steps: list[Step]) -> None:
    assert read_steps(text) == tuple(steps)


def test_the_preset_reads_as_it_is_written() -> None:
    assert read_steps("\n".join(map(str, PRESET))) == PRESET


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "enter 1 to 20 steps"),
        ("\n".join(f"{n} % for 1 order" for n in range(1, 22)), "enter 1 to 20 steps"),
        ("soon", "'soon' is not a step"),
        ("-5 %", "is not a step"),
        ("0 %", "above 0"),
        ("101 %", "at most 100"),
        ("0.001 %", "a multiple of 0.01"),
        ("5 %\n25 %", "how many orders or minutes"),
        ("25 % for 5 orders\n5 %", "must be above"),
        ("5 % for 5 orders\n5 %", "must be above"),
        ("5 % for 5 lunches", "neither orders nor minutes"),
        ("5 % for 1,0 orders", "neither orders nor minutes"),
        ("5 % for 5 orders or 6 orders", "names orders twice"),
        ("5 % for 5 orders or 6 min and 7 orders", "names orders twice"),
        ("5 % for 99999999999 orders", "at most"),
    ],
)
def test_what_is_not_a_plan_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(RampRefused, match=said):
        read_steps(text)


@pytest.mark.parametrize(
    ("orders", "minutes", "either", "is_reached"),
    [
        (499, 9, False, False),
        (500, 9, False, False),
        (499, 10, False, False),
        (500, 10, False, True),
        (500, 0, True, True),
        (0, 10, True, True),
        (499, 9, True, False),
    ],
)
def test_a_step_is_reached_by_orders_and_minutes(
    orders: int, minutes: int, *, either: bool, is_reached: bool
) -> None:
    step = Step(Decimal(5), orders=500, minutes=10, either=either)
    assert step.is_reached(orders, minutes * MINUTE) is is_reached


LONG = PATIENCE
DECISIONS: dict[str, tuple[Position, Facts, timedelta, Move]] = {
    "too few orders": (at(), seen(orders=599), MINUTE, Move(Act.WAIT)),
    "enough orders": (at(), seen(orders=600), MINUTE, Move(Act.GO_ON, "500 orders in 1 min")),
    "enough orders, too little time": (at(1), seen(25, orders=900), MINUTE, Move(Act.WAIT)),
    "the last step, which needs nothing": (
        *(at(2), seen(100, orders=101), timedelta(0)),
        Move(Act.FINISH, "1 order in 0 s"),
    ),
    "its percent is not set yet": (
        *(at(1, applied=False), seen(5, orders=9999), 60 * MINUTE),
        Move(Act.SET_PERCENT),
    ),
    "its percent was set before a crash": (
        *(at(1, applied=False), seen(25), MINUTE),
        Move(Act.SET_PERCENT),
    ),
    "a person changed the percent": (
        *(at(), seen(50, orders=600, set_by="ada: lunch"), MINUTE),
        Move(Act.PAUSE, "the percent was changed to 50 % (ada: lunch)"),
    ),
    "a person stopped it before its percent was set": (
        *(at(1, applied=False), seen(0), MINUTE),
        Move(Act.PAUSE, "the percent was changed to 0 %"),
    ),
    "worse": (
        *(at(), seen(orders=600, word=Word.WORSE, sentence="WORSE: vnext: slower."), MINUTE),
        Move(Act.PAUSE, "the verdict is WORSE: vnext: slower."),
    ),
    "worse before its percent was set": (
        *(at(1, applied=False), seen(word=Word.WORSE), MINUTE),
        Move(Act.PAUSE, "the verdict is WORSE"),
    ),
    "not yet": (at(), seen(orders=10, word=Word.NOT_YET), MINUTE, Move(Act.WAIT)),
    "withheld for a moment": (at(), seen(orders=600, word=Word.WITHHELD), MINUTE, Move(Act.WAIT)),
    "withheld": (
        *(at(), seen(orders=600, word=Word.WITHHELD, doubtful=LONG), MINUTE),
        Move(Act.PAUSE, "the verdict is WITHHELD"),
    ),
    "stale for a moment": (at(), seen(orders=600, stale="stale"), MINUTE, Move(Act.WAIT)),
    "stale": (
        *(at(), seen(orders=600, stale="stale", doubtful=LONG), MINUTE),
        Move(Act.PAUSE, "stale"),
    ),
    "a guard has acted": (
        *(at(), seen(0, guard="the guard stopped it", set_by="guard"), MINUTE),
        Move(Act.PAUSE, "the guard stopped it"),
    ),
    "paused, whatever is well": (
        *(at(state=RampState.PAUSED), seen(orders=9999, word=Word.READY), 60 * MINUTE),
        Move(Act.WAIT),
    ),
    "paused, and the launch ended": (
        *(at(state=RampState.PAUSED), seen(None), MINUTE),
        Move(Act.STOP, "the launch ended"),
    ),
    "the launch ended": (at(), seen(None), MINUTE, Move(Act.STOP, "the launch ended")),
    "finished": (at(2, state=RampState.FINISHED), seen(0), MINUTE, Move(Act.WAIT)),
    "cancelled": (at(state=RampState.STOPPED), seen(None), MINUTE, Move(Act.WAIT)),
}  # fmt: skip


@pytest.mark.parametrize("case", DECISIONS)
def test_what_a_plan_does_now(case: str) -> None:
    plan, facts, time, move = DECISIONS[case]
    assert decide(plan, facts, START + time) == move


@st.composite
def plans(draw: st.DrawFn) -> tuple[Step, ...]:
    percents = sorted(draw(st.sets(st.integers(1, 100), min_size=1, max_size=5)))
    step = st.builds(
        Step, st.none(), st.integers(1, 50), st.sampled_from([0.0, 1.0]), either=st.booleans()
    )
    return tuple(replace(draw(step), percent=Decimal(percent)) for percent in percents)


MOMENTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    orders=st.integers(0, 40),
    seconds=st.integers(0, 90),
    by_hand=st.none() | st.integers(0, 100),
    word=st.sampled_from([None, *Word]),
    guard=st.sampled_from(["", "", "", "a guard"]),
    stale=st.sampled_from(["", "", "", "stale"]),
    doubtful=st.sampled_from([timedelta(0), PATIENCE]),
    # Whether the process dies before it has set the percent.
    dies=st.booleans(),
)


@given(plans(), st.integers(0, 100), st.lists(MOMENTS, max_size=40))
def test_a_plan_sets_only_its_own_percents_one_after_the_other_and_never_past_a_pause(
    steps: tuple[Step, ...], before: int, moments: list[dict[str, Any]]
) -> None:
    plan = Position(
        steps=steps, state=RampState.RUNNING, step=0, since=START,
        orders_before=0, percent_before=Decimal(before), applied=False,
    )  # fmt: skip
    percent, orders, now = Decimal(before), 0, START
    for moment in moments:
        now += timedelta(seconds=moment.pop("seconds"))
        orders += moment.pop("orders")
        dies, by_hand = moment.pop("dies"), moment.pop("by_hand")
        percent = Decimal(by_hand) if by_hand is not None else percent
        move = decide(plan, Facts(percent=percent, orders=orders, **moment), now)
        is_worse = moment["word"] is Word.WORSE or moment["guard"]
        is_doubtful = moment["word"] is Word.WITHHELD or moment["stale"]
        if plan.state is not RampState.RUNNING:
            assert move.act is Act.WAIT
        if move.act in (Act.GO_ON, Act.SET_PERCENT, Act.FINISH):
            assert not is_worse
            assert not is_doubtful
            assert percent in plan.expected
        if move.act is Act.PAUSE:
            assert move.why
            plan = replace(plan, state=RampState.PAUSED)
        elif move.act is Act.FINISH:
            assert percent == steps[-1].percent
            plan = replace(plan, state=RampState.FINISHED)
        elif move.act is Act.GO_ON:
            assert plan.applied
            assert plan.current.is_reached(orders - plan.orders_before, now - plan.since)
            plan = replace(
                plan, step=plan.step + 1, since=now, orders_before=orders,
                percent_before=plan.current.percent, applied=False,
            )  # fmt: skip
        elif move.act is Act.SET_PERCENT:
            percent = plan.current.percent
            assert percent in {step.percent for step in steps}
            plan = plan if dies else replace(plan, applied=True, since=now)


# In the databases.


@pytest.fixture
def launch() -> Launch:
    launch = a_launch()
    launch.dark_versions.filter(version="vnext").update(percent=0)
    return launch


def percent_of(launch: Launch) -> int:
    return int(launch.dark_versions.get(version="vnext").percent)


def a_plan(launch: Launch, *steps: Step) -> RampPlan:
    return ramp.set_plan(
        launch, "vnext", steps or STEPS, author="ada", reason="carefully", now=START
    )


def history(plan: RampPlan) -> list[tuple[str, str, int]]:
    found = RampChange.objects.filter(plan=plan).order_by("id")
    return list(found.values_list("kind", "author", "step"))


pytestmark = pytest.mark.django_db


def test_a_plan_begins_with_its_first_percent(launch: Launch) -> None:
    plan = a_plan(launch)
    assert percent_of(launch) == 5
    assert RampPlan.objects.get().applied
    change = LaunchChange.objects.get()
    assert (change.author, change.values) == ("ramp plan", "0 % → 5 %")
    assert change.reason == "step 1 of 3 of ada's plan: 5 % for 500 orders"
    assert history(plan) == [("set", "ada", 0)]


def test_a_plan_goes_on_to_its_end(launch: Launch) -> None:
    plan, now = a_plan(launch), START
    for percent, orders in ((25, 500), (100, 1000), (100, 1000)):
        now += timedelta(minutes=10)
        ramp.advance(plan, launch, seen(percent_of(launch), orders=orders), now)
        assert percent_of(launch) == percent
    plan.refresh_from_db()
    assert plan.state == RampState.FINISHED
    assert [kind for kind, *_ in history(plan)] == ["set", "step", "step", "finished"]
    assert {author for kind, author, _ in history(plan) if kind != "set"} == {"ramp plan"}


def test_a_percent_that_was_set_by_hand_stays_and_pauses_the_plan(launch: Launch) -> None:
    plan = a_plan(launch)
    # Between the facts and the act.
    facts = seen(5, orders=500)
    set_percent(launch, "vnext", Decimal(0), author="ada", reason="stop")
    ramp.advance(plan, launch, facts, START + MINUTE)
    assert percent_of(launch) == 0
    ramp.advance(plan, launch, seen(0, orders=500), START + MINUTE)
    plan.refresh_from_db()
    assert (plan.state, plan.why) == (RampState.PAUSED, "the percent was changed to 0 %")


def test_a_crash_before_the_percent_was_set_is_made_good(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(ramp, "set_percent", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            a_plan(launch)
    plan = RampPlan.objects.get()
    assert (plan.applied, percent_of(launch)) == (False, 0)
    ramp.advance(plan, launch, seen(0), START)
    assert (RampPlan.objects.get().applied, percent_of(launch)) == (True, 5)


def test_two_observers_do_one_step(launch: Launch) -> None:
    plan = a_plan(launch)
    other = RampPlan.objects.get()
    ramp.advance(plan, launch, seen(5, orders=500), START + MINUTE)
    with pytest.raises(RampRefused, match="changed meanwhile"):
        ramp.advance(other, launch, seen(5, orders=500), START + MINUTE)
    assert percent_of(launch) == 25
    assert [kind for kind, *_ in history(plan)] == ["set", "step"]


def test_people_pause_resume_and_cancel_with_a_reason(launch: Launch) -> None:
    plan = a_plan(launch)
    with pytest.raises(RampRefused, match="needs a reason"):
        ramp.pause(plan, author="bob", reason=" ", now=START)
    ramp.pause(plan, author="bob", reason="lunch", now=START)
    assert (plan.state, plan.why) == (RampState.PAUSED, "bob: lunch")
    with pytest.raises(RampRefused, match="the plan is paused"):
        ramp.pause(plan, author="bob", reason="again", now=START)
    set_percent(launch, "vnext", Decimal(50), author="ada", reason="why not")
    Participant.objects.create(
        launch=launch.pk, version="vnext", role="candidate", handled=40, failed=2
    )
    ramp.resume(plan, launch, author="ada", reason="lunch is over", now=START + MINUTE)
    plan.refresh_from_db()
    assert (plan.state, plan.orders_before, plan.since) == ("running", 42, START + MINUTE)
    assert percent_of(launch) == 50
    ramp.advance(plan, launch, seen(50, orders=9999), START + MINUTE)
    assert percent_of(launch) == 5
    ramp.cancel(plan, author="ada", reason="enough", now=START)
    assert (plan.state, percent_of(launch)) == (RampState.STOPPED, 5)
    assert history(plan) == [
        ("set", "ada", 0), ("paused", "bob", 0), ("resumed", "ada", 0), ("stopped", "ada", 0)
    ]  # fmt: skip
    assert a_plan(launch).pk != plan.pk


def test_a_candidate_has_one_plan_at_a_time(launch: Launch) -> None:
    a_plan(launch)
    with pytest.raises(RampRefused, match="has a plan already"):
        a_plan(launch)
    assert RampPlan.objects.count() == 1


def test_only_a_candidate_of_an_open_launch_has_a_plan(launch: Launch) -> None:
    with pytest.raises(RampRefused, match="vlatest-b is not a candidate"):
        ramp.set_plan(launch, "vlatest-b", STEPS, author="ada", reason="r", now=START)
    plan = a_plan(launch)
    end_launch(launch, author="ada", reason="over")
    with pytest.raises(RampRefused, match="not a candidate of an open launch"):
        ramp.set_plan(launch, "vnext", STEPS, author="ada", reason="r", now=START)
    ramp.pause(plan, author="ada", reason="r", now=START)
    with pytest.raises(RampRefused, match="not a candidate of an open launch"):
        ramp.resume(plan, launch, author="ada", reason="r", now=START)


def test_a_plan_is_not_resumed_before_its_guard_is_acknowledged(launch: Launch) -> None:
    plan = a_plan(launch)
    ramp.pause(plan, author="ada", reason="r", now=START)
    acted = GuardAction.objects.create(
        launch=launch.pk, version="vnext", guard=Guard.WORSE, why="slower", at=START, percent=5
    )
    with pytest.raises(RampRefused, match="acknowledge that first"):
        ramp.resume(plan, launch, author="ada", reason="r", now=START)
    acted.acknowledged_at = START
    acted.save()
    ramp.resume(plan, launch, author="ada", reason="r", now=START)
    assert plan.state == RampState.RUNNING


def test_a_plan_that_is_resumed_while_the_verdict_is_worse_pauses_without_a_step(
    launch: Launch,
) -> None:
    plan = a_plan(launch)
    ramp.pause(plan, author="ada", reason="r", now=START)
    set_percent(launch, "vnext", Decimal(0), author="ada", reason="stop")
    ramp.resume(plan, launch, author="ada", reason="r", now=START)
    ramp.advance(plan, launch, seen(0, word=Word.WORSE), START)
    assert (plan.state, percent_of(launch)) == (RampState.PAUSED, 0)
