"""May a version be promoted, and what is still needed? Board, pages, observer and command line ask
here.

The answer is computed from stored evidence, thresholds, reviews, and the current traffic. It also
decides when no verdict is possible right now, whatever the evidence says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from dashboard.comparison.foreign_text import visible
from dashboard.fold.records import SeenNumbers
from dashboard.models import Evidence, FinalVerdict, ObservedOrder, Participant, RelaySession
from dashboard.verdict.closing import unresolved
from dashboard.verdict.evaluation import Evaluation, evaluate
from dashboard.verdict.segments import Contrast
from dashboard.verdict.thresholds import LaunchHealth, Requirement, RequirementResult, mismatch
from dashboard.verdict.traffic import Feed, Traffic, read_traffic
from dashboard.verdict.verdict import FirstDecision
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch, LaunchChange
from restaurant.outbox import backlog
from restaurant.sent_counts import samples

#: The control is falling behind while more orders wait for it than come in this time, and more
#: than this many in any case.
_SLACK_S = 5.0
_SLACK_LEAST = 20
#: How many of the newest orders of an ended launch are searched for the last one sent to a version.
_LAST = 1000


class Run(StrEnum):
    """Whether a version gets orders."""

    RUNNING = "running"
    #: Its percent is 0.
    STOPPED = "stopped"
    #: Its launch has ended.
    ENDED = "ended"


class CheckedSample(NamedTuple):
    """The orders sent to a dark version since its percent last changed, and what is wrong."""

    version: str
    offered: int
    sent: int
    wrong: str | None


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The assessment of one version of a launch."""

    state: Run
    #: Since when it has got no orders, in seconds since 1970.
    since: float | None
    samples: Sequence[CheckedSample]
    #: The final verdict, once the launch has ended and its last orders are counted.
    final: FinalVerdict | None
    #: The verdict as of now; None for a version that is not a candidate, and while nothing is
    #: known.
    evaluation: Evaluation | None

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The verdict as JSON, for frames, programs and the record of a final verdict."""
        if self.final is not None:
            kept: dict[str, Any] = self.final.verdict
            return kept
        return None if self.evaluation is None else as_json(self.evaluation)

    @property
    def run(self) -> dict[str, Any]:
        """Whether the version gets orders, and when the verdict became final, as JSON."""
        final_at = self.final.at.timestamp() if self.final is not None else None
        return {"state": self.state, "at": self.since, "final_at": final_at}


def assess(launch: Launch, version: str, traffic: Traffic) -> Assessment:
    """Assess a version of a launch; without a version (empty) there is no verdict."""
    participant = traffic.participant(version)
    state, since = _run(launch, version)
    checked = _checked_samples(launch)
    final = evaluation = None
    if participant is not None and participant.role == Role.CANDIDATE:
        if state is Run.ENDED:
            kept = FinalVerdict.objects.filter(launch=launch.id, version=version)
            final = kept.first()
        health = _health(traffic, participant, state, checked, is_final=final is not None)
        evaluation = evaluate(launch.id, version, health)
    return Assessment(state=state, since=since, samples=checked, final=final, evaluation=evaluation)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """A verdict as JSON, for frames, programs and the record of a final verdict."""
    verdict, row = evaluation.verdict, evaluation.row
    timing, block_s = evaluation.timing, evaluation.evidence.block_s(evaluation.timing)
    decided = evaluation.decided
    return {
        "version": row.version,
        "build": visible(row.version_build),
        "control_build": visible(row.control_build),
        "since": row.started_at.timestamp(),
        "word": verdict.word.value,
        "sentence": verdict.sentence(row.version),
        "reasons": list(verdict.reasons),
        "warnings": list(verdict.warnings),
        "contrasts": [_contrast(one) for one in evaluation.contrasts],
        "requirements": [_judged(one, decided) for one in verdict.requirements],
        "flagged": list(verdict.flagged),
        "pairs": verdict.pairs,
        "blocks": verdict.blocks,
        "orders": evaluation.evidence.orders,
        "more_orders": verdict.more_orders,
        "total_time": list(verdict.total_time) if verdict.total_time else None,
        "faster_share": list(verdict.faster_share) if verdict.faster_share else None,
        "lag_s": block_s + timing.deadline_s + timing.grace_s,
        "block_s": block_s,
        "block_why": evaluation.evidence.why_block_s(timing),
        "late": row.late,
        "lost": row.lost,
        "bad": row.bad,
    }


def _run(launch: Launch, version: str) -> tuple[Run, float | None]:
    """Whether a version gets orders, and if not, since when."""
    if launch.ended_at is not None:
        return Run.ENDED, launch.ended_at.timestamp()
    if all(dark.percent for dark in launch.dark_versions.all() if dark.version == version):
        return Run.RUNNING, None
    changed = LaunchChange.objects.filter(launch=launch, version=version)
    at = changed.values_list("at", flat=True).first()
    return Run.STOPPED, at.timestamp() if at else None


def _checked_samples(launch: Launch) -> list[CheckedSample]:
    return [
        CheckedSample(
            one.version,
            one.offered,
            one.sent,
            mismatch(one.version, sent=one.sent, offered=one.offered, share=one.share),
        )
        for one in samples(launch)
    ]


def _health(
    traffic: Traffic,
    participant: Participant,
    state: Run,
    checked: Sequence[CheckedSample],
    *,
    is_final: bool,
) -> LaunchHealth:
    """What the verdict needs besides the evidence. Once it is final, only the evidence counts."""
    held = tuple(_wrong_samples(traffic.participants, participant, checked))
    unseen, sent = unseen_orders(participant.launch)
    behind_s: float | None
    if state is Run.ENDED:
        behind_s = 0.0 if is_final else _left_s(participant)
    else:
        behind_s = _behind_s(traffic, participant)
    if state is Run.RUNNING:
        held = (*_disturbances(traffic), *held)
    return LaunchHealth(
        behind_s=behind_s, held=held, over=state is not Run.RUNNING, unseen=unseen, sent=sent
    )


def unseen_orders(launch: UUID) -> tuple[int, int]:
    """How many orders that the relays numbered were not seen by the observer, of how many."""
    unseen = sent = 0
    sessions = RelaySession.objects.filter(launch=launch).values_list("ranges", "lost")
    for ranges, lost in sessions:
        unseen += SeenNumbers(ranges, lost).unseen
        sent += ranges[-1][1] if ranges else 0
    return unseen, sent


def _disturbances(traffic: Traffic) -> Iterator[str]:
    """Why no verdict is possible right now."""
    if traffic.feed is Feed.STALE:
        age_s = traffic.age_s
        newest = "no event yet" if age_s is None else f"newest event {age_s:,.0f} s ago"
        yield f"events are stale: {newest}"
    waiting = traffic.waiting_for(traffic.control)
    if waiting is not None and waiting > max(_SLACK_LEAST, _SLACK_S * traffic.rate):
        control = traffic.control.version
        yield f"the control is falling behind: {waiting:,} orders wait for {control}"


def _wrong_samples(
    participants: Sequence[Participant], candidate: Participant, checked: Sequence[CheckedSample]
) -> Iterator[str]:
    """Why the orders sent to the candidate or the baselines don't fit their percents."""
    asked = {candidate.version, *(one.version for one in participants if one.role == Role.BASELINE)}
    return (one.wrong for one in checked if one.wrong and one.version in asked)


def _behind_s(traffic: Traffic, candidate: Participant) -> float | None:
    """How much older the newest answered order of the version is than the control's, in whole
    seconds; None if its queue's length is unknown."""
    waiting, control = traffic.waiting_for(candidate), traffic.control
    if waiting is None:
        return None
    if not waiting:
        return 0.0
    if control.ended_until is None or candidate.ended_until is None:
        return None
    return max(0.0, round((control.ended_until - candidate.ended_until).total_seconds()))


def _left_s(candidate: Participant) -> float:
    """How much older the newest answered order of the version is than the control's, in whole
    seconds; None if its queue's length is unknown."""
    orders = ObservedOrder.objects.filter(launch=candidate.launch).order_by("-id")
    newest = orders.values_list("sample", "placed_at")[:_LAST]
    placed = next((at for sample, at in newest if candidate.version in sample), None)
    if placed is None or candidate.ended_until is None:
        return 0.0
    return max(0.0, round((placed - candidate.ended_until).total_seconds()))


def _contrast(one: Contrast) -> dict[str, Any]:
    kind, _, faster = one.faster.segment.partition(":")
    slower = one.slower.segment.partition(":")[2]
    return {"kind": kind, "faster": faster, "slower": slower, "opposite": one.opposite}


def _judged(one: RequirementResult, decided: Mapping[Requirement, FirstDecision]) -> dict[str, Any]:
    first = decided.get(one.requirement)
    other = first if first is not None and first.word != one.word else None
    return {
        "key": one.requirement.value,
        "standing": one.standing.value,
        "word": str(one.word),
        "text": one.text,
        "estimate": one.estimate,
        "lo": one.interval.lo if one.interval else None,
        "hi": one.interval.hi if one.interval else None,
        "line": one.line,
        "bound": one.bound,
        "passed_at": one.passed_at,
        "needs": one.needs,
        "orders": one.orders,
        "more_orders": one.more_orders,
        "since": first.at if first is not None and other is None else None,
        "was": other.word if other is not None else None,
        "was_at": other.at if other is not None else None,
    }


def keep_final_verdicts(now: datetime) -> set[UUID]:
    """Store the final verdict on each candidate whose launch has ended, once all its orders are
    counted; returns the launches that got one. Call it after blocks were closed at ``now``."""
    kept = FinalVerdict.objects.filter(launch=OuterRef("launch"), version=OuterRef("version"))
    open_ones = Evidence.objects.filter(~Exists(kept)).values_list("launch", "version").distinct()
    versions: defaultdict[UUID, set[str]] = defaultdict(set)
    for launch, version in open_ones:
        versions[launch].add(version)
    ended = DarkVersion.objects.filter(
        role=Role.CANDIDATE, launch__in=list(versions), launch__ended_at__lt=now
    )
    return {
        one.launch_id
        for one in ended.select_related("launch")
        if one.version in versions[one.launch_id] and _keep(one.launch, one.version, now)
    }


def _keep(launch: Launch, version: str, now: datetime) -> bool:
    if unresolved(launch.id) is not None or waits_to_be_sent(launch):
        return False
    evaluation = assess(launch, version, read_traffic(launch, queues=None)).evaluation
    if evaluation is None or not _all_counted(launch, evaluation, now):
        return False
    kept = FinalVerdict(
        launch=launch.id,
        version=version,
        word=evaluation.verdict.word.value,
        at=now,
        orders=evaluation.evidence.orders,
        verdict=as_json(evaluation),
    )
    FinalVerdict.objects.bulk_create([kept], ignore_conflicts=True)
    return True


def waits_to_be_sent(launch: Launch) -> bool:
    """Whether an order placed before the end of the launch may still be in the outbox."""
    oldest = backlog(at_most=1).oldest
    return oldest is not None and launch.ended_at is not None and oldest <= launch.ended_at


def _all_counted(launch: Launch, evaluation: Evaluation, now: datetime) -> bool:
    """Whether the block at the launch's end is over, and every block is counted."""
    ended_at, timing, row = launch.ended_at, evaluation.timing, evaluation.row
    if ended_at is None or timing.closed_at(now.timestamp()) <= timing.block_of(
        ended_at.timestamp()
    ):
        return False
    return not row.blocks.filter(number__gte=row.closed_until or 0).exists()
