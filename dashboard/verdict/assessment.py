"""May a version be promoted, and what is missing? Board, pages, observer and command line ask here.

The answer is computed from what is stored: the evidence, the thresholds, the reviews, and the
traffic of the moment. It also decides when no word may be given just now, whatever the evidence
says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from dashboard.domain.foreign_text import visible
from dashboard.models import FinalVerdict, Tally
from dashboard.verdict.evaluation import Evaluation, evaluate
from dashboard.verdict.latch import Decided
from dashboard.verdict.requirements import Health, Judged, Requirement
from dashboard.verdict.sample_ratio import mismatch
from dashboard.verdict.segments import Contrast
from dashboard.verdict.traffic import Feed, Traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch, LaunchChange, Letter
from restaurant.sent_counts import samples

#: The control is disturbed while more than so many seconds of orders wait for it, and more than so
#: many orders in any case.
_SLACK_S = 5.0
_SLACK_LEAST = 20
#: The newest orders of an ended launch that are searched for the last one sent to a version.
_LAST = 1000


class Run(StrEnum):
    """Whether a version gets orders."""

    RUNNING = "running"
    #: Its percent is 0.
    STOPPED = "stopped"
    #: Its launch has ended.
    ENDED = "ended"


class CheckedSample(NamedTuple):
    """What was sent to a dark version since its percent last changed, and what is wrong with it."""

    version: str
    offered: int
    sent: int
    wrong: str | None


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The answer for one version of a launch."""

    state: Run
    #: Since when it gets no orders, in seconds since 1970.
    since: float | None
    samples: Sequence[CheckedSample]
    #: Of a launch that has ended, once its last orders were counted: nothing changes it any more.
    final: FinalVerdict | None
    #: The verdict as of now; None for a version that is no candidate, and while nothing is known.
    evaluation: Evaluation | None

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The verdict as frames, programs and the record of a final one have it."""
        if self.final is not None:
            kept: dict[str, Any] = self.final.verdict
            return kept
        return None if self.evaluation is None else as_json(self.evaluation)

    @property
    def run(self) -> dict[str, Any]:
        """Whether the version gets orders, and when the verdict became final."""
        final_at = self.final.at.timestamp() if self.final is not None else None
        return {"state": self.state, "at": self.since, "final_at": final_at}


def assess(launch: Launch, version: str, traffic: Traffic) -> Assessment:
    """The assessment of a version of a launch; of no version (empty) there is no verdict."""
    tally = traffic.tally_of(version)
    state, since = _run(launch, version)
    checked = _checked_samples(launch)
    final = evaluation = None
    if tally is not None and tally.role == Role.CANDIDATE:
        if state is Run.ENDED:
            kept = FinalVerdict.objects.filter(launch=launch.id, version=version)
            final = kept.first()
        health = _health(traffic, tally, state, checked, is_final=final is not None)
        evaluation = evaluate(launch.id, version, health)
    return Assessment(state=state, since=since, samples=checked, final=final, evaluation=evaluation)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """A verdict as frames, programs and the record of a final one have it."""
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
    tally: Tally,
    state: Run,
    checked: Sequence[CheckedSample],
    *,
    is_final: bool,
) -> Health:
    """What the verdict must know besides the evidence. Once it is final, only the evidence counts,
    and what the version left unanswered is not read again."""
    wrong = _wrong_samples(traffic.tallies, tally, checked)
    if state is Run.ENDED:
        left_s = 0.0 if is_final else _left_s(tally)
        return Health(behind_s=left_s, held=tuple(wrong), over=True)
    behind_s = _behind_s(traffic, tally)
    if state is Run.STOPPED:
        return Health(behind_s=behind_s, held=tuple(wrong), over=True)
    return Health(behind_s=behind_s, held=(*_disturbances(traffic), *wrong))


def _disturbances(traffic: Traffic) -> Iterator[str]:
    """Why no verdict may be given just now."""
    if traffic.feed is Feed.STALE:
        age_s = traffic.age_s
        newest = "nothing was heard yet" if age_s is None else f"newest event {age_s:,.0f} s ago"
        yield f"the feed is stale, {newest}"
    waiting = traffic.waiting_for(traffic.control)
    if waiting is not None and waiting > max(_SLACK_LEAST, _SLACK_S * traffic.rate):
        yield f"the control is disturbed: {waiting:,} orders wait for {traffic.control.version}"


def _wrong_samples(
    tallies: Sequence[Tally], tally: Tally, checked: Sequence[CheckedSample]
) -> Iterator[str]:
    """What is wrong with the orders that the candidate was sent, or the baselines."""
    asked = {tally.version, *(one.version for one in tallies if one.role == Role.BASELINE)}
    return (one.wrong for one in checked if one.wrong and one.version in asked)


def _behind_s(traffic: Traffic, tally: Tally) -> float | None:
    """How much older the newest order is that the version has ended than that of the control; None
    if the length of its queue is unknown. In whole seconds: each other value is computed again."""
    waiting, control = traffic.waiting_for(tally), traffic.control
    if waiting is None:
        return None
    if not waiting:
        return 0.0
    if control.ended_until is None or tally.ended_until is None:
        return None
    return max(0.0, round((control.ended_until - tally.ended_until).total_seconds()))


def _left_s(tally: Tally) -> float:
    """How much older the newest order is that a version has ended than the newest that it was sent,
    once its launch has ended and nothing waits any more: 0 unless it left the last ones without an
    answer."""
    letters = Letter.objects.filter(launch=tally.launch, sent_at__isnull=False)
    newest = letters.order_by("-sent_at").values_list("sample", "order__placed_at")[:_LAST]
    placed = next((at for sample, at in newest if tally.version in sample), None)
    if placed is None or tally.ended_until is None:
        return 0.0
    return max(0.0, round((placed - tally.ended_until).total_seconds()))


def _contrast(one: Contrast) -> dict[str, Any]:
    kind, _, faster = one.faster.segment.partition(":")
    slower = one.slower.segment.partition(":")[2]
    return {"kind": kind, "faster": faster, "slower": slower, "opposite": one.opposite}


def _judged(one: Judged, decided: Mapping[Requirement, Decided]) -> dict[str, Any]:
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
