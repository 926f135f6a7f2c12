"""What a launch's record says, as JSON text: built from the stored facts, with no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from dashboard.models import FinalVerdict, LaunchDecision, Participant, Review, Rule
from dashboard.review.listing import ListedDiscrepancy
from dashboard.review.thresholds import ThresholdChange
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.thresholds import THRESHOLDS, Requirements
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch, LaunchChange, LaunchChangeKind

#: Of the structure below; rises when a field changes its meaning.
FORMAT = 1
#: The most entries of each list; beside it is how many are left out.
MOST_DISCREPANCIES = 500
MOST_REVIEWS = 20
MOST_ACTS = 500
_MOST_EXAMPLES = 3
#: Changes that set a version's percent.
_SHARES = (LaunchChangeKind.ADDED, LaunchChangeKind.PERCENT)

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RecordFacts:
    """The stored rows that a record is made of. Acts are in the order in which they were done."""

    launch: Launch
    dark: Sequence[DarkVersion]
    participants: Mapping[str, Participant]
    verdicts: Mapping[str, FinalVerdict]
    thresholds: Requirements
    threshold_changes: Sequence[ThresholdChange]
    rules: Sequence[Rule]
    #: The heaviest first.
    discrepancies: Sequence[ListedDiscrepancy]
    #: By discrepancy.
    reviews: Mapping[int, Sequence[Review]]
    changes: Sequence[LaunchChange]
    #: Orders sent, as restaurant.sent_counts.sent_by_change has them.
    sent: Mapping[tuple[int, str], int]
    #: Orders that the relays numbered, and those of them that the observer never saw.
    numbered: int
    unseen: int
    decisions: Sequence[LaunchDecision]
    at: datetime


def record_body(facts: RecordFacts) -> str:
    """The record as canonical JSON: keys are sorted, without spaces, in ASCII."""
    launch = facts.launch
    body: Json = {
        "format": FORMAT,
        "frozen_at": _time(facts.at),
        "launch": {
            "id": str(launch.pk),
            "name": launch.name,
            "control": launch.control,
            "started_at": _time(launch.started_at),
            "ended_at": _time(launch.ended_at),
            "planned_end": launch.planned_end,
        },
        "orders": {"numbered": facts.numbered, "unseen": facts.unseen},
        "versions": [*_versions(facts)],
        "verdicts": [
            _verdict(one.version, facts.verdicts.get(one.version))
            for one in facts.dark
            if one.role == Role.CANDIDATE
        ],
        "thresholds": {
            "in_force": _thresholds(facts.thresholds),
            "changes": _bounded([*map(_threshold_change, facts.threshold_changes)], MOST_ACTS),
        },
        "rules": _bounded([_rule(one, launch) for one in facts.rules], MOST_ACTS),
        "discrepancies": _first(
            (_discrepancy(one, facts.reviews) for one in facts.discrepancies),
            MOST_DISCREPANCIES,
            of=len(facts.discrepancies),
        ),
        "sample": [*_sample(facts)],
        "changes": _bounded([*map(_change, facts.changes)], MOST_ACTS),
        "decisions": _bounded([*map(decision_json, facts.decisions)], MOST_ACTS),
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _bounded(acts: Sequence[Json], most: int) -> Json:
    """The newest of some acts, in their order."""
    left_out = max(0, len(acts) - most)
    return {"listed": [*acts[left_out:]], "left_out": left_out}


def _first(rows: Iterable[Json], most: int, *, of: int) -> Json:
    """The first of some rows."""
    return {"listed": [*islice(rows, most)], "left_out": max(0, of - most)}


def _versions(facts: RecordFacts) -> Iterator[Json]:
    roles: list[tuple[str, str, float | None]] = [
        (facts.launch.control, Role.CONTROL.value, None),
        *((one.version, one.role, float(one.percent)) for one in facts.dark),
    ]
    for version, role, percent in roles:
        counted = facts.participants.get(version, Participant())
        p50, p95, p99 = LogHistogram.from_json(counted.times).quantiles(0.5, 0.95, 0.99)
        yield {
            "version": version,
            "role": role,
            "percent": percent,
            "orders": counted.orders,
            "handled": counted.handled,
            "failed": counted.failed,
            "missing": counted.missing,
            "late": counted.late,
            "repeats": counted.repeats,
            "pairs": counted.pairs,
            "outcomes": counted.matrix,
            "times_ms": {"p50": p50, "p95": p95, "p99": p99},
            "builds": [_build(*one) for one in counted.builds],
        }


def _build(name: str, first: float, last: float) -> Json:
    return {
        "build": name,
        "first_at": _time(datetime.fromtimestamp(first, UTC)),
        "last_at": _time(datetime.fromtimestamp(last, UTC)),
    }


def _verdict(version: str, final: FinalVerdict | None) -> Json:
    """The verdict on a candidate; without a word if no order of it counted."""
    if final is None:
        return {"version": version, "word": "", "at": None, "orders": 0, "verdict": None}
    return {
        "version": version,
        "word": final.word,
        "at": _time(final.at),
        "orders": final.orders,
        "verdict": final.verdict,
    }


def _thresholds(required: Requirements) -> Json:
    known = asdict(required)
    return {name: known[name] for name in THRESHOLDS}


def _threshold_change(one: ThresholdChange) -> Json:
    return {
        "at": _time(one.set_at),
        "author": one.author,
        "reason": one.reason,
        "set": [{"name": name, "old": old, "new": new} for name, old, new in one.lines],
    }


def _rule(one: Rule, launch: Launch) -> Json:
    until = launch.ended_at or one.created_at
    ends = [at for at in (one.ended_at, one.expires_at) if at is not None]
    return {
        "id": one.pk,
        "path": one.path,
        "treatment": one.treatment,
        "version": one.version,
        "absolute": one.absolute,
        "relative": one.relative,
        "key": one.key,
        "pattern": one.pattern,
        "replacement": one.replacement,
        "author": one.author,
        "reason": one.reason,
        "created_at": _time(one.created_at),
        "expires_at": _time(one.expires_at),
        "ended_at": _time(one.ended_at),
        "ended_by": one.ended_by,
        "in_force_at_end": one.created_at <= until and all(at > until for at in ends),
    }


def _discrepancy(row: ListedDiscrepancy, reviews: Mapping[int, Sequence[Review]]) -> Json:
    one = row.discrepancy
    return {
        "id": one.pk,
        "version": one.version,
        "kind": one.kind,
        "path": one.path,
        "state": one.state,
        "count": row.count,
        "ignored": one.ignored,
        "pairs": row.pairs,
        "rate": row.rate,
        "noise_count": row.noise_count,
        "noise_pairs": row.noise_pairs,
        "noise_rate": row.noise_rate,
        "counts_against": row.counts_against,
        "carried": row.carried,
        "first_seen_at": _time(one.first_seen_at),
        "last_seen_at": _time(one.last_seen_at),
        "last_build": one.last_build,
        "control_value": one.control_value,
        "version_value": one.version_value,
        "examples": [order for _, order in one.examples[:_MOST_EXAMPLES]],
        "reviews": _bounded([*map(review_json, reviews.get(one.pk, ()))], MOST_REVIEWS),
    }


def review_json(one: Review) -> Json:
    """A review of a discrepancy."""
    return {
        "id": one.pk,
        "at": _time(one.decided_at),
        "author": one.author,
        "decision": one.decision,
        "note": one.note,
        "replay": one.replay_id,
    }


def decision_json(one: LaunchDecision) -> Json:
    """A step of a decision on a candidate."""
    return {
        "id": one.pk,
        "at": _time(one.at),
        "version": one.version,
        "choice": one.choice,
        "step": one.step,
        "author": one.author,
        "reason": one.reason,
        "word": one.word,
        "sentence": one.sentence,
        "opposed": one.opposed,
    }


def _change(one: LaunchChange) -> Json:
    return {
        "at": _time(one.at),
        "kind": one.kind,
        "version": one.version,
        "old": one.old,
        "new": one.new,
        "author": one.author,
        "reason": one.reason,
    }


def _sample(facts: RecordFacts) -> Iterator[Json]:
    """Each dark version's percent over time, with the orders that were sent meanwhile."""
    first = facts.changes[0].pk if facts.changes else 0
    for dark in facts.dark:
        own = [one for one in facts.changes if one.version == dark.version and one.kind in _SHARES]
        steps = [(one.pk, one.at, _percent(one.new)) for one in own]
        if not own or own[0].old:  # it is in the launch from the beginning
            percent = _percent(own[0].old) if own else float(dark.percent)
            steps.insert(0, (first, facts.launch.started_at, percent))
        begins = [pk for pk, *_ in steps]
        for (begin, at, percent), end in zip(steps, [*begins[1:], None], strict=True):
            offered, sent = (_sent(facts.sent, of, begin, end) for of in ("", dark.version))
            yield {
                "version": dark.version,
                "at": _time(at),
                "percent": percent,
                "offered": offered,
                "sent": sent,
            }


def _percent(text: str) -> float:
    """The percent of a change, as in ``25 %`` and ``candidate, 25 %``."""
    return float(Decimal(text.rpartition(", ")[2].removesuffix(" %")))


def _sent(sent: Mapping[tuple[int, str], int], version: str, begin: int, end: int | None) -> int:
    return sum(
        orders
        for (change, of), orders in sent.items()
        if of == version and change >= begin and (end is None or change < end)
    )
