"""Takes in what versions answer to orders that they were sent again, and judges each answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from dashboard.domain.comparing.judgement import Ending, Group, GroupKind, judge
from dashboard.domain.comparing.rules import Rules
from dashboard.domain.comparing.showing import still_shows
from dashboard.domain.ledger import Standing
from dashboard.domain.outcome import Outcome, State
from dashboard.models import Discrepancy, Replay, ReplayedOrder, ReplayState
from dashboard.observing.answers import Answer, Answers
from dashboard.observing.rulebook import rules_in_force
from dashboard.observing.texts import storable
from dashboard.reviewing.replays import conclude
from kitchen_worker.contract.messages import Event, EventKind
from restaurant.models import Launch
from restaurant.write_lock import write_transaction

#: Not yet answered, or given up too soon.
_UNANSWERED = (ReplayState.WAITING, ReplayState.SENT, ReplayState.MISSING)
_ANSWERED = (
    "state", "sent_at", "ended_at", "build", "handling_ms", "result", "error_type",
    "error_message", "outcome", "shows",
)  # fmt: skip


def record_answers(events: Sequence[Event], now: datetime) -> None:
    """Take in what versions say of orders that they were sent again; the first answer counts.

    In one transaction. Raises django.db.Error.
    """
    ends = {UUID(e.order_id): e for e in reversed(events) if e.kind is not EventKind.RECEIVED}
    if not ends:
        return
    with write_transaction():
        touched = ReplayedOrder.objects.filter(uuid__in=ends).values("replay")
        locked = Replay.objects.select_for_update().filter(pk__in=touched).order_by("id")
        replays = {replay.pk: replay for replay in locked}
        rows = list(ReplayedOrder.objects.filter(uuid__in=ends, state__in=_UNANSWERED))
        if not rows:
            return
        judging = _Judging.of(replays.values(), rows, now)
        for row in rows:
            judging.judge(row, ends[row.uuid], now)
        ReplayedOrder.objects.bulk_update(rows, _ANSWERED, batch_size=100)
        for replay in replays.values():
            conclude(replay, now)


@dataclass(frozen=True)
class _Judging:
    """What it takes to hold answers against those of the control."""

    replays: Mapping[int, Replay]
    discrepancies: Mapping[int, Discrepancy]
    #: The control of each launch in which orders were placed.
    controls: Mapping[UUID, str]
    answers: Answers
    rules: Mapping[str, Rules]

    @classmethod
    def of(
        cls, replays: Iterable[Replay], rows: Iterable[ReplayedOrder], now: datetime
    ) -> _Judging:
        several = {replay.pk: replay for replay in replays}
        about = Discrepancy.objects.in_bulk({one.discrepancy_id for one in several.values()})
        launches = Launch.objects.filter(id__in={one.launch for one in about.values()})
        return cls(
            replays=several,
            discrepancies=about,
            controls=dict(launches.values_list("id", "control")),
            answers=Answers.stored({row.order for row in rows}),
            rules=rules_in_force({one.version for one in several.values()}, now),
        )

    def judge(self, row: ReplayedOrder, event: Event, now: datetime) -> None:
        """Write an answer into its row, and what to think of it."""
        replay = self.replays[row.replay_id]
        about = self.discrepancies[replay.discrepancy_id]
        _answer(row, event, now)
        control = self.answers.of(row.order, self.controls.get(about.launch, ""))
        judgement = judge(ended(control), ending_of(row), self.rules[replay.version])
        row.outcome = judgement.outcome
        # Without the control's answer, nobody can say that it agrees.
        row.shows = judgement.outcome is Outcome.MISSING or still_shows(
            Group(GroupKind(about.kind), about.path), judgement
        )


def ending_of(row: ReplayedOrder) -> Ending:
    """How a version ended an order that it was sent again."""
    return ended(
        Answer(
            Standing(State(row.state), row.handling_ms),
            text=row.result,
            error_type=row.error_type,
            error_message=row.error_message,
        )
    )


def ended(answer: Answer) -> Ending:
    """An answer in the state in which it stands."""
    return answer.ended(answer.standing.state)


def _answer(row: ReplayedOrder, event: Event, now: datetime) -> None:
    row.state = ReplayState(event.kind.value)
    row.sent_at = row.sent_at or now
    row.ended_at = now
    row.build = storable(event.build)
    row.handling_ms = event.handling_ms
    row.result = row.error_type = row.error_message = ""
    if event.result is not None:
        row.result = _as_live(msgspec.json.encode(event.result).decode(), row)
    if event.error is not None:
        row.error_type = storable(event.error.type)
        row.error_message = _as_live(storable(event.error.message), row)


def _as_live(text: str, row: ReplayedOrder) -> str:
    """An answer as it would stand for the live order: a version may have put the id in it."""
    return text.replace(str(row.uuid), str(row.order))
