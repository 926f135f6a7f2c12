"""Orders sent again to one dark version and to nobody else, apart from all live numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.forms.models import model_to_dict

from dashboard.comparison.outcome import Decision
from dashboard.ingest.observer import BackgroundJobs
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.stream import read_roster
from dashboard.models import (
    Discrepancy,
    Observation,
    ObservedOrder,
    Participant,
    Replay,
    ReplayedOrder,
    ReplayState,
    Signature,
    TimeSlice,
)
from dashboard.review import replaying
from dashboard.review.replaying import give_up_overdue, mark_sent, next_to_send, record_answers
from dashboard.review.replays import ReplayRefused, Summary, request_replay, summary
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch, an_event, an_order, as_message
from dashboard.tests.making import record_events
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests.making import topology_of
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Event, EventKind, Failure, Role, decode_order
from kitchen_worker.testing import MemoryBroker
from restaurant.models import Launch
from restaurant.tests.making import end_launch

pytestmark = pytest.mark.django_db

NOW = START + timedelta(minutes=1)
DEADLINE = timedelta(seconds=30)
TYPES = topology.QueueTypes()
RIGHT: dict[str, Any] = {"total_price": "7.00", "minutes": 10}
WRONG: dict[str, Any] = {"total_price": "6.99", "minutes": 10}
Said = dict[str, Any] | Failure


@pytest.fixture
def launch() -> Launch:
    return a_launch()


def disagreed(
    launch: Launch, count: int = 3, version: Said = WRONG, control: Said = RIGHT
) -> Discrepancy:
    """Orders of which vnext made something else than the control, and what they all show."""
    for _ in range(count):
        order = an_order(launch)
        events = [told(launch, order.uuid, said, name) for name, said in
                  (("vlatest", control), ("vnext", version))]  # fmt: skip
        record_events(read_roster(launch), events, START)
    return Discrepancy.objects.get(launch=launch.id)


def told(
    launch: Launch, order: UUID | str, said: Said, version: str = "vnext", **more: Any
) -> Event:
    """A version's event on an order: its result, or its failure."""
    order = UUID(str(order))
    if isinstance(said, Failure):
        return an_event(launch, order, version, EventKind.FAILED, error=said, **more)
    return an_event(launch, order, version, result=said, **more)


def asked(discrepancy: Discrepancy, launch: Launch, **more: Any) -> Replay:
    """A replay that was requested."""
    known: dict[str, Any] = {
        "launch": launch,
        "revision": discrepancy.revision,
        "author": "ada",
        "close_when_agreed": True,
        "now": NOW,
    }
    return request_replay(discrepancy, **{**known, **more})


def sent(replay: Replay) -> list[ReplayedOrder]:
    """Its orders, all of them sent."""
    mark_sent([one.id for one in next_to_send(NOW)], NOW)
    return list(ReplayedOrder.objects.filter(replay=replay).order_by("id"))


def answered(launch: Launch, rows: Sequence[ReplayedOrder], *said: Said, **more: Any) -> None:
    """Let vnext answer each of these orders; the last thing that it says again for the rest."""
    every = [*said, *[said[-1]] * (len(rows) - len(said))]
    events = [told(launch, row.uuid, what, **more) for row, what in zip(rows, every, strict=False)]
    record_answers([as_message(one) for one in events], NOW)


def found(replay: Replay) -> Summary:
    return summary(Replay.objects.get(pk=replay.pk))


def state(discrepancy: Discrepancy) -> Decision:
    return Decision(Discrepancy.objects.get(pk=discrepancy.pk).state)


def live() -> dict[str, Any]:
    """All live numbers."""
    tables = (ObservedOrder, Observation, Participant, TimeSlice, Signature)
    return {table.__name__: [model_to_dict(row) for row in table.objects.all()] for table in tables}


def test_orders_that_all_agree_close_the_discrepancy_with_their_evidence(launch: Launch) -> None:
    about = disagreed(launch)
    before = live()
    replay = asked(about, launch)
    answered(launch, sent(replay), RIGHT, build="git:mended")
    assert state(about) is Decision.FIXED
    decided = about.reviews.get()
    assert decided.note == "3 of 3 orders agree there in build git:mended."
    assert (decided.author, decided.replay, decided.decision) == ("ada", replay, "fixed")
    assert found(replay) == Summary(orders=3, handled=3, agree=3, builds=("git:mended",))
    assert Replay.objects.get(pk=replay.pk).finished_at == NOW
    assert live() == before


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (WRONG, {"handled": 3, "agree": 2, "still_shows": 1}),
        ({**RIGHT, "total_price": 7.0}, {"handled": 3, "agree": 2, "still_shows": 1}),
        ({"minutes": 10}, {"handled": 3, "agree": 2, "still_shows": 1}),
        (
            Failure(type="KeyError", message="'total_price'"),
            {"handled": 2, "failed": 1, "agree": 2, "fail_otherwise": 1},
        ),
    ],
)
def test_one_order_that_does_not_agree_leaves_it_open(
    launch: Launch, said: Said, expected: dict[str, Any]
) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    answered(launch, sent(replay), said, RIGHT)
    assert state(about) is Decision.OPEN
    shown = found(replay)
    assert shown == Summary(orders=3, builds=("git:1a2b3c",), **expected)
    assert shown.is_finished
    assert not shown.proves


def test_what_differs_elsewhere_is_said_and_is_evidence_all_the_same(launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    answered(launch, sent(replay), {**RIGHT, "minutes": 7}, RIGHT)
    assert (found(replay).agree, found(replay).differ_otherwise) == (3, 1)
    assert state(about) is Decision.FIXED


def test_a_failure_is_fixed_when_the_orders_are_handled(launch: Launch) -> None:
    about = disagreed(launch, version=Failure(type="TooMany", message="21 of 'fries'"))
    assert about.kind == "failed"
    replay = asked(about, launch)
    rows = sent(replay)
    answered(launch, rows[:2], Failure(type="TooMany", message="22 of 'fries'"), RIGHT)
    assert found(replay).still_shows == 1
    answered(launch, rows[2:], RIGHT)
    assert state(about) is Decision.OPEN
    again = asked(about, launch)
    answered(launch, sent(again), RIGHT)
    assert state(about) is Decision.FIXED


def test_without_the_wish_to_close_it_stays_as_it_is(launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch, close_when_agreed=False)
    answered(launch, sent(replay), RIGHT)
    assert found(replay).proves
    assert state(about) is Decision.OPEN


def test_a_decision_made_meanwhile_is_not_overwritten(launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    review(
        [SeenRevision(about.pk, about.revision)], Decision.BY_DESIGN, note="so be it", author="bob"
    )
    answered(launch, sent(replay), RIGHT)
    assert found(replay).proves
    assert state(about) is Decision.BY_DESIGN


def test_the_first_answer_counts_and_received_is_no_answer(launch: Launch) -> None:
    about = disagreed(launch, count=1)
    replay = asked(about, launch)
    (row,) = sent(replay)
    heard = as_message(an_event(launch, row.uuid, "vnext", EventKind.RECEIVED))
    record_answers([heard], NOW)
    assert found(replay).sent == 1
    first, second = (as_message(told(launch, row.uuid, said)) for said in (WRONG, RIGHT))
    record_answers([first, second], NOW)
    record_answers([second], NOW)
    assert found(replay).still_shows == 1
    assert state(about) is Decision.OPEN


def test_an_answer_that_is_quicker_than_the_note_of_its_sending_counts(launch: Launch) -> None:
    about = disagreed(launch, count=1)
    replay = asked(about, launch)
    (again,) = next_to_send(NOW)
    answered(launch, [ReplayedOrder.objects.get(pk=again.id)], RIGHT)
    mark_sent([again.id], NOW)
    assert found(replay) == Summary(orders=1, handled=1, agree=1, builds=("git:1a2b3c",))
    assert state(about) is Decision.FIXED


def test_what_is_not_answered_in_time_is_missing_and_a_late_answer_mends_it(
    launch: Launch,
) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    rows = sent(replay)
    answered(launch, rows[:2], RIGHT)
    assert give_up_overdue(NOW + DEADLINE - timedelta(seconds=1), DEADLINE) == set()
    assert give_up_overdue(NOW + DEADLINE, DEADLINE) == {launch.id}
    assert (found(replay).missing, found(replay).is_finished) == (1, True)
    assert state(about) is Decision.OPEN
    answered(launch, rows[2:], RIGHT)
    assert (found(replay).missing, found(replay).agree) == (0, 3)
    assert state(about) is Decision.FIXED


def test_a_result_that_names_the_order_is_read_as_that_of_the_live_one(launch: Launch) -> None:
    about = disagreed(launch, count=1)
    control = Observation.objects.get(participant__version="vlatest")
    result = {**RIGHT, "order": {"id": control.order.order_id}}
    Observation.objects.filter(pk=control.pk).update(result=msgspec.json.encode(result))
    replay = asked(about, launch)
    (row,) = sent(replay)
    answered(launch, [row], {**RIGHT, "order": {"id": str(row.uuid)}})
    assert found(replay).differ_otherwise == 0
    assert control.order.order_id in ReplayedOrder.objects.get(pk=row.pk).result


def test_the_id_of_another_system_does_not_break_the_result_that_it_is_put_in(
    launch: Launch,
) -> None:
    about = disagreed(launch, count=1)
    ObservedOrder.objects.update(order_id='shop "7" \\ é')
    (row,) = sent(asked(about, launch))
    answered(launch, [row], {**RIGHT, "id": f"order {row.uuid}"})
    row.refresh_from_db()
    assert json.loads(row.result)["id"] == 'order shop "7" \\ é'


def test_texts_that_a_database_cannot_keep_are_kept_without_what_it_cannot(launch: Launch) -> None:
    about = disagreed(launch, count=2)
    replay = asked(about, launch)
    wild = Failure(type="\x00Odd", message="nul \x00 here")
    answered(launch, sent(replay), wild, {**RIGHT, "note": "\x00"}, build="\x00 build")
    one, other = ReplayedOrder.objects.order_by("id")
    assert (one.error_type, one.error_message, one.build) == (
        "\ufffdOdd",
        "nul \ufffd here",
        "\ufffd build",
    )
    assert other.state == ReplayState.HANDLED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda about, launch: end_launch(launch), "No launch is running"),
        (lambda about, launch: launch.dark_versions.filter(version="vnext").delete(),
         "vnext is not a dark version of the running launch"),
        (lambda about, launch: ObservedOrder.objects.update(body=b""), "None of its orders"),
        (lambda about, launch: ObservedOrder.objects.all().delete(), "None of its orders"),
        (lambda about, launch: Observation.objects.filter(participant__role="control").delete(),
         "None of its orders"),
        (lambda about, launch: review(
            [SeenRevision(about.pk, about.revision)], Decision.BUG, note="", author="bob"
        ), "reviewed in the meantime"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_again_is_refused_with_the_reason(
    launch: Launch, change: Callable[[Discrepancy, Launch], object], reason: str
) -> None:
    about = disagreed(launch)
    change(about, launch)
    launch.refresh_from_db()
    with pytest.raises(ReplayRefused, match=reason):
        asked(about, launch)
    assert not Replay.objects.exists()


def test_asking_twice_sends_once(launch: Launch) -> None:
    about = disagreed(launch)
    assert asked(about, launch) == asked(about, launch)
    assert ReplayedOrder.objects.count() == 3


def test_only_orders_that_show_it_are_sent_and_no_more_than_the_limit(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.review.replays.MAX_REPLAYED", 2)
    about = disagreed(launch)
    disagreed_orders = set(ObservedOrder.objects.values_list("order_id", flat=True))
    agreed = an_order(launch)
    events = [told(launch, agreed.uuid, RIGHT, name) for name in ("vlatest", "vnext")]
    record_events(read_roster(launch), events, START)
    replay = asked(about, launch)
    again = set(replay.replayed_orders.values_list("order", flat=True))
    assert len(again) == replay.orders == 2
    assert again < disagreed_orders


def test_orders_under_way_are_bounded(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "IN_FLIGHT", 2)
    replay = asked(disagreed(launch), launch)
    rows = sent(replay)
    assert next_to_send(NOW) == []
    answered(launch, rows[:1], RIGHT)
    assert len(next_to_send(NOW)) == 1


def test_a_bug_of_an_earlier_launch_is_sent_to_the_open_one_and_closed(launch: Launch) -> None:
    about = disagreed(launch)
    review([SeenRevision(about.pk, 0)], Decision.BUG, note="", author="ada")
    about.refresh_from_db()
    end_launch(launch)
    newer = a_launch(name="December", started_at=NOW)
    replay = asked(about, newer)
    assert (replay.launch, replay.discrepancy.launch) == (newer.id, launch.id)
    answered(newer, sent(replay), RIGHT)
    assert state(about) is Decision.FIXED


def test_when_the_launch_ends_what_waits_is_given_up_with_the_reason(launch: Launch) -> None:
    replay = asked(disagreed(launch), launch)
    end_launch(launch)
    assert give_up_overdue(NOW, DEADLINE) == {launch.id}
    assert found(replay).missing == 3
    assert found(replay).reason == "The launch ended before it was sent."


def test_an_order_whose_message_cannot_be_read_is_given_up_and_the_others_are_sent(
    launch: Launch,
) -> None:
    about = disagreed(launch)
    ObservedOrder.objects.filter(pk=2).update(body=b"{}")
    replay = asked(about, launch)
    assert len(next_to_send(NOW)) == 2
    assert found(replay).missing == 1
    assert "not an order" in found(replay).reason


def test_an_answer_counts_from_the_version_that_was_asked_and_from_no_other(
    launch: Launch,
) -> None:
    (row,) = sent(asked(disagreed(launch, count=1), launch))
    event = told(launch, row.uuid, RIGHT)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"version": "vlatest", "role": Role.CONTROL}, "was not sent to vlatest"),
        ({"version": "vlatest-b", "role": Role.BASELINE}, "was not sent to vlatest-b"),
        ({"role": Role.BASELINE}, "is the candidate, and speaks as baseline"),
        ({"launch": str(uuid4())}, "was not placed in launch"),
    ]
    recorder = Recorder.take_over()
    for change, reason in wrong:
        changed = as_message(msgspec.structs.replace(event, **change))
        (refused,) = recorder.record([], [changed], NOW).refused
        assert reason in refused.reason
    for fine in (event, msgspec.structs.replace(event, launch=None)):
        message = as_message(fine)
        assert recorder.record([], [message], NOW).replayed == [message]


def test_a_replay_can_be_read_by_a_kitchen_that_knows_nothing_of_it(launch: Launch) -> None:
    replay = asked(disagreed(launch, count=1), launch)
    (again,) = next_to_send(NOW)
    row = replay.replayed_orders.get()
    live_order = decode_order(bytes(ObservedOrder.objects.get().body))
    assert decode_order(again.message.body) == msgspec.structs.replace(live_order, id=str(row.uuid))
    assert again.message.exchange == topology.ORDERS_DARK
    assert again.message.headers == {
        "dark.vnext": "1",
        "replay": live_order.id,
        "launch": str(launch.id),
    }


class Sending:
    """The observer's chores on a broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.changed: set[UUID] = set()
        self.jobs = BackgroundJobs(
            shutdown=Shutdown(),
            recorder=lambda: Recorder(epoch=0),
            is_busy=lambda: False,
            on_change=self.changed.update,
        )

    async def step(self) -> bool:
        return await self.jobs.step(self.broker)


@pytest.mark.django_db(transaction=True)
async def test_orders_reach_the_queue_of_their_version_and_no_other() -> None:
    replay = await _asked_for()
    sending = Sending()
    await sending.broker.declare(topology_of("vnext", "vlatest-b"))
    assert await sending.step()
    queues = {name: len(queue.waiting) for name, queue in sending.broker.queues.items()}
    assert {name: number for name, number in queues.items() if number} == {"kitchen.vnext": 3}
    assert await replay.replayed_orders.filter(state=ReplayState.SENT).acount() == 3
    assert not await sending.step()


@pytest.mark.django_db(transaction=True)
async def test_without_a_queue_they_wait_with_the_reason_and_go_out_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashboard.ingest.observer.RETRY_S", 0.0)
    replay = await _asked_for()
    sending = Sending()
    await sending.broker.declare(topology_of())
    assert await sending.step()
    waiting = replay.replayed_orders.filter(state=ReplayState.WAITING)
    assert await waiting.filter(error_message__contains="no route").acount() == 3
    await sending.broker.declare(topology_of("vnext"))
    assert await sending.step()
    assert await waiting.acount() == 0
    assert await replay.replayed_orders.filter(error_message="").acount() == 3


@pytest.mark.django_db(transaction=True)
async def test_what_was_sent_and_not_noted_is_sent_again_and_answered_once() -> None:
    replay = await _asked_for()
    sending = Sending()
    await sending.broker.declare(topology_of("vnext"))
    assert await sending.step()
    await replay.replayed_orders.aupdate(state=ReplayState.WAITING, sent_at=None)  # it died here
    assert await sending.step()
    bodies = sending.broker.bodies("kitchen.vnext")
    assert len(bodies) == 6
    assert len({decode_order(body).id for body in bodies}) == 3


async def _asked_for() -> Replay:
    def ask() -> Replay:
        launch = a_launch()
        return asked(disagreed(launch), launch)

    return await sync_to_async(ask)()
