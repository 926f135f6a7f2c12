"""What of a frame says whether the version beside the control may be promoted."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from dashboard.board.frames import Json
from dashboard.board.standing import Run
from dashboard.domain.foreign_text import visible
from dashboard.models import Tally
from dashboard.reviewing.verdicts import Weighed, weigh
from dashboard.verdict.latch import Decided
from dashboard.verdict.requirements import Judged, Requirement
from dashboard.verdict.segments import Contrast
from kitchen_worker.contract.messages import Role
from restaurant.models import Letter

#: Seconds of orders that may wait for the control before it counts as disturbed, and so many
#: orders in any case.
_SLACK_S = 5.0
_SLACK_LEAST = 20
#: The newest orders of an ended launch that are searched for the last one sent to a version.
_LAST = 1000


def weigh_beside(
    launch: UUID,
    tallies: Sequence[Tally],
    beside: Tally | None,
    frame: Json,
    *,
    is_final: bool = False,
) -> Weighed | None:
    """The verdict on the candidate beside the control; None for a baseline, and while nothing is
    known. ``frame`` is what the board says of versions, samples and feed; ``is_final``: the word is
    kept, and only the evidence is asked for."""
    if beside is None or beside.role != Role.CANDIDATE:
        return None
    waiting = {one["name"]: one["waiting"] for one in frame["versions"]}
    wrong = wrong_samples(tallies, beside, frame["samples"])
    state = frame["run"]["state"]
    if state == Run.ENDED:
        at_the_end = 0.0 if is_final else behind_at_the_end(beside)
        return weigh(launch, beside.version, behind_s=at_the_end, held=wrong, over=True)
    behind_s = _behind_s(tallies[0], beside, waiting[beside.version])
    if state == Run.STOPPED:
        return weigh(launch, beside.version, behind_s=behind_s, held=wrong, over=True)
    held = (*_held(frame, tallies[0].version, waiting[tallies[0].version]), *wrong)
    return weigh(launch, beside.version, behind_s=behind_s, held=held)


def behind_at_the_end(beside: Tally) -> float:
    """How much older the newest order is that a version has ended than the newest that it was sent,
    once its launch has ended and nothing waits any more: 0 unless it left the last ones without an
    answer."""
    letters = Letter.objects.filter(launch=beside.launch, sent_at__isnull=False)
    newest = letters.order_by("-sent_at").values_list("sample", "order__placed_at")[:_LAST]
    placed = next((at for sample, at in newest if beside.version in sample), None)
    if placed is None or beside.ended_until is None:
        return 0.0
    return max(0.0, round((placed - beside.ended_until).total_seconds()))


def verdict_part(weighed: Weighed | None) -> Json | None:
    """The verdict as a frame tells it."""
    if weighed is None:
        return None
    verdict, timing, row = weighed.verdict, weighed.timing, weighed.row
    decided, block_s = weighed.decided, weighed.evidence.block_s(timing)
    return {
        "version": row.version,
        "build": visible(row.version_build),
        "control_build": visible(row.control_build),
        "since": row.started_at.timestamp(),
        "word": verdict.word.value,
        "sentence": verdict.sentence(row.version),
        "reasons": list(verdict.reasons),
        "warnings": list(verdict.warnings),
        "contrasts": [_contrast(one) for one in weighed.contrasts],
        "requirements": [_judged(one, decided) for one in verdict.requirements],
        "flagged": list(verdict.flagged),
        "pairs": verdict.pairs,
        "blocks": verdict.blocks,
        "orders": weighed.evidence.orders,
        "more_orders": verdict.more_orders,
        "total_time": list(verdict.total_time) if verdict.total_time else None,
        "faster_share": list(verdict.faster_share) if verdict.faster_share else None,
        "lag_s": block_s + timing.deadline_s + timing.grace_s,
        "block_s": block_s,
        "block_why": weighed.evidence.why_block_s(timing),
        "late": row.late,
        "lost": row.lost,
        "bad": row.bad,
    }


def _contrast(one: Contrast) -> Json:
    kind, _, faster = one.faster.segment.partition(":")
    slower = one.slower.segment.partition(":")[2]
    return {"kind": kind, "faster": faster, "slower": slower, "opposite": one.opposite}


def _judged(one: Judged, decided: dict[Requirement, Decided]) -> Json:
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


def _behind_s(control: Tally, beside: Tally, waiting: int | None) -> float | None:
    """How much older the newest order is that the version has ended than that of the control, in
    whole seconds: a verdict is worked out anew where it changes. None where nobody knows how many
    orders wait for it."""
    if waiting is None:
        return None
    if not waiting:
        return 0.0
    if control.ended_until is None or beside.ended_until is None:
        return None
    return max(0.0, round((control.ended_until - beside.ended_until).total_seconds()))


def wrong_samples(
    tallies: Sequence[Tally], beside: Tally, samples: Sequence[Json]
) -> tuple[str, ...]:
    """What is wrong with the orders that the candidate was sent, or the baselines."""
    asked = {beside.version, *(one.version for one in tallies if one.role == Role.BASELINE)}
    return tuple(one["wrong"] for one in samples if one["wrong"] and one["version"] in asked)


def _held(frame: Json, control: str, waiting: int | None) -> list[str]:
    """Why no verdict may be given just now."""
    held = []
    feed = frame["feed"]
    if feed["state"] == "stale":
        age_s = feed["age_s"]
        newest = "nothing was heard yet" if age_s is None else f"newest event {age_s:,.0f} s ago"
        held.append(f"the feed is stale, {newest}")
    if waiting is not None and waiting > max(_SLACK_LEAST, _SLACK_S * frame["rate"]):
        held.append(f"the control is disturbed: {waiting:,} orders wait for {control}")
    return held
