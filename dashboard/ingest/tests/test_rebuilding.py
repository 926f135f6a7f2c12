"""What the observer folds is recorded, and folded again from the file the same numbers come out."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from dashboard.comparison.outcome import Decision
from dashboard.comparison.rules import ComparisonRule, Treatment
from dashboard.fold.admission import EventMessage, OrderMessage
from dashboard.fold.records import Loss
from dashboard.ingest import recorder, stored
from dashboard.ingest.recorder import Recorder, Recording
from dashboard.ingest.rulebook import end_rule, make_rule
from dashboard.ingest.stored import changing
from dashboard.ingest.tests.test_recorder import DEADLINE, SOON, an_end, an_order, stand
from dashboard.management.commands import rebuild
from dashboard.models import (
    Discrepancy,
    Observation,
    ObservedOrder,
    ObserverState,
    Participant,
    Review,
)
from dashboard.review.proposals import request_rejudging
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch
from dashboard.verdict.closing import close_blocks
from kitchen_worker.contract.messages import EventKind
from restaurant.models import Launch

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _nobody_else_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "WAIT_S", 0.0)


def a_pair(
    launch: Launch, number: int, *, price: str = "7.50", cook: str = "ada"
) -> tuple[OrderMessage, list[EventMessage]]:
    """An order whose price and cook differ, and both ends of it."""
    order = an_order(launch, str(UUID(int=number)))
    ours = {"total_price": "7.00", "cook": "ada"}
    return order, [
        an_end(launch, order, "vlatest", event_id=f"c{number}", result=ours),
        an_end(launch, order, event_id=f"n{number}", result={"total_price": price, "cook": cook}),
    ]


def record(recorder: Recorder, launch: Launch, numbers: range, at: Any, **more: str) -> None:
    """Record pairs in one batch."""
    pairs = [a_pair(launch, number, **more) for number in numbers]
    recorder.record([one for one, _ in pairs], [one for _, ends in pairs for one in ends], at)


def decide(path: str, decision: Decision) -> None:
    """Decide on a discrepancy."""
    row = Discrepancy.objects.get(path=path)
    review([SeenRevision(row.pk, row.revision)], decision, note="why", author="ada")


def rebuilt(file: Path) -> str:
    """Rebuild from a file; gives what is said."""
    out = io.StringIO()
    call_command("rebuild", str(file), yes=True, stdout=out)
    return out.getvalue()


def decisions() -> list[Any]:
    """What is decided on each discrepancy."""
    fields = ("id", "path", "state", "revision", "decided_at", "count", "ignored", "first_seen_at")
    return list(Discrepancy.objects.order_by("path", "id").values_list(*fields))


def test_a_recording_gives_the_same_numbers_again(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    recorder = Recorder.take_over("", tape)
    early = an_order(launch, str(UUID(int=50)))
    never = an_order(launch, str(UUID(int=51)))
    elsewhere = an_order(None)
    record(recorder, launch, range(5), SOON)
    decide("total_price", Decision.BUG)
    rule = make_rule(
        ComparisonRule(id=0, path="cook", treatment=Treatment.IGNORE),
        reason="why", author="ada", expires_at=None, now=SOON,
    )  # fmt: skip
    record(recorder, launch, range(5, 10), SOON + MINUTE, cook="eve")
    recorder.record(
        [elsewhere], [an_end(launch, early), an_end(launch, never)], SOON + MINUTE,
        numbers={("relay", launch.id): [1, 2, 5]}, undescribed=3,
    )  # fmt: skip
    lost = {
        (never.record.order_id, "vnext"): Loss.REFUSED,
        (str(UUID(int=60)), "vnext"): Loss.DROPPED,
    }
    recorder.lose(lost, SOON + MINUTE)
    end_rule(rule, author="ada", now=SOON + MINUTE)
    recorder = Recorder.take_over("", tape)
    recorder.record([early], [an_end(None, elsewhere, "vlatest")], SOON + MINUTE)
    recorder.give_up(recorder.overdue_stubs(SOON + MINUTE))
    recorder.sweep(SOON + 2 * MINUTE, DEADLINE)
    record(recorder, launch, range(10, 15), SOON + 2 * MINUTE, cook="eve", price="8.00")
    decide("total_price", Decision.BY_DESIGN)
    request_rejudging(launch.id, author="ada", now=SOON + 3 * MINUTE)
    while recorder.rejudge(SOON + 3 * MINUTE, 4):
        pass
    close_blocks(SOON + 60 * MINUTE, on_closed=tape.note)
    tape.write()
    record(recorder, launch, range(15, 17), SOON + 61 * MINUTE)
    recorder.record([an_order(launch, str(UUID(int=60)))], [], SOON + 61 * MINUTE)
    recorder.lose({(str(UUID(int=60)), "vlatest"): Loss.REFUSED}, SOON + 62 * MINUTE)
    tape.close()
    live, decided, state = stand(launch), decisions(), ObserverState.objects.get()

    assert "19 orders are there again" in rebuilt(file)

    assert stand(launch) == live
    assert live["participants"]["vnext"].account == {"handled": 18, "dropped": 1}
    assert live["participants"]["vlatest"].account == {"handled": 17, "missing": 1, "refused": 1}
    assert decisions() == decided
    again = ObserverState.objects.get()
    for name in ("swept_until", "events_outside", "undescribed"):
        assert getattr(again, name) == getattr(state, name)
    assert (state.events_outside, state.undescribed) == (1, 3)
    assert Review.objects.count() == 2


def test_what_was_decided_on_keeps_its_row_and_gets_its_counts_again(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    recorder = Recorder.take_over("", tape)
    record(recorder, launch, range(3), SOON, cook="eve")
    decide("total_price", Decision.BUG)
    kept = Discrepancy.objects.get(path="total_price")
    tape.close()
    Discrepancy.objects.filter(path="cook").update(count=1000)
    Discrepancy.objects.filter(path="total_price").update(count=1000)
    gone = Discrepancy.objects.create(
        id=1000, launch=launch.id, version="vnext", kind="value", path="gone",
        first_seen_at=START, last_seen_at=START,
    )  # fmt: skip

    rebuilt(file)

    again = Discrepancy.objects.get(path="total_price")
    assert (again.pk, again.count, again.state, again.revision) == (kept.pk, 3, "bug", 1)
    assert again.reviews.count() == 1
    assert Discrepancy.objects.get(path="cook").count == 3
    assert not Discrepancy.objects.filter(path=gone.path).exists()


def test_bugs_of_other_launches_and_what_is_seen_again_are_as_they_were(tmp_path: Path) -> None:
    file, first = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    recorder = Recorder.take_over("", tape)
    record(recorder, first, range(2), SOON)
    decide("total_price", Decision.BUG)
    second = a_launch(ended_at=SOON)
    record(recorder, second, range(2, 4), SOON + MINUTE)
    with changing():
        row = Discrepancy.objects.get(launch=second.id)
        row.state, row.revision, row.decided_at = Decision.FIXED, 2, START - MINUTE
        row.save()
        Review.objects.create(
            discrepancy=row, decision=Decision.FIXED, decided_at=START - MINUTE, revision=2
        )
    record(recorder, second, range(4, 6), SOON + 2 * MINUTE)
    tape.close()
    counts = ("launch", "version", "orders", "handled", "pairs", "matrix", "times")
    participants = Participant.objects.order_by("launch", "version").values_list(*counts)
    live, decided = list(participants.all()), decisions()
    reviews = list(Review.objects.order_by("id").values_list("discrepancy", "decision"))

    rebuilt(file)

    assert list(participants.all()) == live
    assert decisions() == decided
    assert [state for _, _, state, *_ in decided] == ["bug", "open"]
    assert list(Review.objects.order_by("id").values_list("discrepancy", "decision")) == reviews
    assert [decision for _, decision in reviews] == ["bug", "bug", "fixed", "open"]


def test_a_batch_that_is_in_the_file_twice_counts_once(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    record(Recorder.take_over("", tape), launch, range(3), SOON)
    tape.close()
    live = stand(launch)
    batch = next(line for line in file.read_text().splitlines() if '"item":"Batch"' in line)
    with file.open("a") as end:
        end.write(batch + "\n")

    rebuilt(file)

    assert stand(launch) == live


def test_a_transaction_that_fails_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    recorder = Recorder.take_over("", tape)
    record(recorder, launch, range(3), SOON)
    before = file.read_bytes()

    with patch.object(stored, "write", side_effect=DatabaseError), pytest.raises(DatabaseError):
        record(recorder, launch, range(3, 5), SOON)

    assert file.read_bytes() == before
    record(recorder, launch, range(3, 5), SOON)
    assert file.read_bytes().startswith(before)
    live = stand(launch)
    tape.close()
    rebuilt(file)
    assert stand(launch) == live


def test_a_line_that_was_not_written_to_its_end_is_cut_off(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    record(Recorder.take_over("", tape), launch, range(3), SOON)
    tape.close()
    whole = file.read_bytes()
    with file.open("ab") as end:
        end.write(b'{"item":"Batch",' + b" " * (2 << 20))

    assert len(list(recorder.read_recording(file))) == whole.count(b"\n")
    Recording(file, at_most=10**7).close()
    assert file.read_bytes() == whole


def test_a_recording_ends_at_its_bound_and_orders_are_still_observed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=5000)
    recorder = Recorder.take_over("", tape)

    for number in range(10):
        record(recorder, launch, range(number, number + 1), SOON)

    assert 0 < file.stat().st_size <= 5000
    assert tape.has_ended
    assert ObservedOrder.objects.count() == 10
    assert [one.message for one in caplog.records if "recorded" in one.message] == [
        f"nothing more is recorded to {file}: it would have more than 5,000 bytes"
    ]


@pytest.mark.parametrize("written", [OSError(28, "No space left on device"), None])
def test_a_full_disk_ends_the_recording_and_not_the_observer(
    tmp_path: Path, written: OSError | None
) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    recorder = Recorder.take_over("", tape)
    record(recorder, launch, range(3), SOON)
    before = file.read_bytes()

    with patch("os.pwrite", side_effect=written, return_value=10):
        record(recorder, launch, range(3, 5), SOON)
    record(recorder, launch, range(5, 7), SOON)

    assert (tape.has_ended, ObservedOrder.objects.count()) == (True, 7)
    assert file.read_bytes() == before


def test_an_observer_does_not_start_that_cannot_record(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be recorded to: No such file"):
        call_command("observe", "--record", str(tmp_path / "none" / "file"))


def test_one_process_records_to_a_file(tmp_path: Path) -> None:
    tape = Recording(tmp_path / "file", at_most=100)
    with pytest.raises(BlockingIOError):
        Recording(tmp_path / "file", at_most=100)
    tape.close()


def test_nothing_is_changed_unless_one_agrees_and_what_will_be_lost_is_said(
    tmp_path: Path,
) -> None:
    file, launch = tmp_path / "file", a_launch()
    record(Recorder.take_over(), launch, range(2), SOON)
    tape = Recording(file, at_most=10**7)
    record(Recorder.take_over("", tape), launch, range(2, 5), SOON)
    record(Recorder.take_over(), launch, range(5, 9), SOON)
    record(Recorder.take_over("", tape), launch, range(9, 10), SOON)
    tape.close()
    record(Recorder.take_over(), launch, range(10, 11), SOON)
    epoch, out = ObserverState.objects.get().epoch, io.StringIO()

    with (
        patch("builtins.input", return_value="no"),
        pytest.raises(CommandError, match="Nothing was changed"),
    ):
        call_command("rebuild", str(file), stdout=out)

    said = out.getvalue()
    assert f"4 orders from {SOON} to {SOON}" in said
    assert "2 of them came before the recording and WILL BE GONE" in said
    assert "4 orders are missing between its parts" in said
    assert "from id 11 on came after it and WILL BE GONE" in said
    assert (ObservedOrder.objects.count(), ObserverState.objects.get().epoch) == (11, epoch)


def test_nothing_is_rebuilt_while_an_observer_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    record(Recorder.take_over("", tape), launch, range(3), SOON)
    tape.close()
    monkeypatch.setattr(rebuild, "WAIT_S", 5.0)

    with (
        patch("time.sleep", side_effect=lambda _: Recorder.take_over()),
        pytest.raises(CommandError, match="An observer records"),
    ):
        rebuilt(file)

    assert Observation.objects.count() == 6


def test_nothing_is_rebuilt_before_the_history_is_carried_over(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    record(Recorder.take_over("", tape), launch, range(3), SOON)
    tape.close()
    ObserverState.objects.update(history_until=7)

    with pytest.raises(CommandError, match="carry_over first; nothing was changed"):
        rebuilt(file)

    assert Observation.objects.count() == 6


@pytest.mark.parametrize("text", [b"", b"no recording\n", b'{"item":"Unknown"}\n'])
def test_a_file_that_is_no_recording_changes_nothing(tmp_path: Path, text: bytes) -> None:
    launch = a_launch()
    record(Recorder.take_over(), launch, range(3), SOON)
    (tmp_path / "file").write_bytes(text)

    with pytest.raises(CommandError):
        rebuilt(tmp_path / "file")

    assert Observation.objects.count() == 6


def test_events_are_written_as_they_came(tmp_path: Path) -> None:
    file, launch = tmp_path / "file", a_launch()
    tape = Recording(file, at_most=10**7)
    order = an_order(launch)
    events = [
        an_end(launch, order, "vlatest", result={"name": "Crème \u0000 \U0001f354"}),
        an_end(launch, order, kind=EventKind.RECEIVED),
    ]
    Recorder.take_over("", tape).record([order], events, SOON)
    tape.close()

    (found,) = (
        one for one in recorder.read_recording(file) if isinstance(one, recorder.RecordedBatch)
    )

    assert (found.orders, found.events, found.at) == ((order,), tuple(events), SOON)
