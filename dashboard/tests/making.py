"""Discrepancies and replays for the tests of what people do with them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from dashboard import models
from dashboard.comparison.judgement import Ending, judge
from dashboard.comparison.outcome import Decision, Outcome, State, cell
from dashboard.comparison.rules import ComparisonRule, Rules, Treatment
from dashboard.fold.admission import Admitted
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.rulebook import make_rule
from dashboard.ingest.stream import Roster
from dashboard.models import (
    Discrepancy,
    Observation,
    ObservedOrder,
    Participant,
    Replay,
    ReplayedOrder,
    ReplayState,
    Signature,
)
from dashboard.review.preview import Preview, Progress, Sample, preview_step
from dashboard.tests.factories import START, an_event, as_message, observed
from kitchen_worker.contract.messages import Event, EventKind, Role

NOW = START + timedelta(seconds=1)


def a_discrepancy(launch: UUID, path: str = "total_price", **fields: Any) -> Discrepancy:
    """A discrepancy of vnext that ten pairs show and nobody has decided on."""
    known: dict[str, Any] = {
        "launch": launch,
        "version": "vnext",
        "kind": "value",
        "path": path,
        "count": 10,
        "first_seen_at": START,
        "last_seen_at": START,
        "last_build": "git:1a2b3c",
    }
    return Discrepancy.objects.create(**{**known, **fields})


def a_replay(discrepancy: Discrepancy, *, orders: int = 3, **fields: Any) -> Replay:
    """A finished replay, in which a new build agrees on every order."""
    known: dict[str, Any] = {
        "discrepancy": discrepancy,
        "launch": discrepancy.launch,
        "version": discrepancy.version,
        "requested_by": "ada",
        "requested_at": START + timedelta(hours=1),
        "finished_at": START + timedelta(hours=2),
        "revision": discrepancy.revision,
        "orders": orders,
    }
    replay = Replay.objects.create(**{**known, **fields})
    ReplayedOrder.objects.bulk_create(
        ReplayedOrder(
            replay=replay,
            order=str(uuid4()),
            state=ReplayState.HANDLED,
            outcome=Outcome.AGREE,
            shows=False,
            build="git:mended",
        )
        for _ in range(orders)
    )
    return replay


def record_events(roster: Roster, events: Sequence[Event], now: datetime) -> Admitted:
    """Record events of one launch; orders that no message was seen of were sent to all."""
    known = set(
        ObservedOrder.objects.filter(order_id__in={one.order_id for one in events}).values_list(
            "order_id", flat=True
        )
    )
    dark = [name for name, role in roster.roles.items() if role is not Role.CONTROL]
    for order_id, placed_at in {one.order_id: one.placed_at for one in events}.items():
        if order_id not in known:
            observed(roster.launch, order_id, sample=dark, sent_at=placed_at or now)
    return Recorder.take_over().record([], [as_message(one) for one in events], now)


def a_pair(
    roster: Roster, control: dict[str, Any], version: dict[str, Any], *, name: str = "vnext"
) -> UUID:
    """Record what the control and a version made of the same order."""
    order = uuid4()
    results = (("vlatest", control), (name, version))
    record_events(
        roster,
        [
            an_event(roster.launch, order, of, EventKind.HANDLED, result=result)
            for of, result in results
        ],
        NOW,
    )
    return order


def a_draft(path: str, treatment: Treatment = Treatment.IGNORE, **fields: Any) -> ComparisonRule:
    """A rule that is not stored yet."""
    return ComparisonRule(id=0, path=path, treatment=treatment, **fields)


def a_rule(draft: ComparisonRule) -> models.Rule:
    """The same rule, in force."""
    return make_rule(draft, reason="known", author="ada", expires_at=None, now=NOW)


def states_of(*discrepancies: Discrepancy) -> list[Decision]:
    """What is decided on them, as the database has it."""
    stored = Discrepancy.objects.in_bulk([one.pk for one in discrepancies])
    return [Decision(stored[one.pk].state) for one in discrepancies]


def stand(launch: UUID) -> dict[str, Any]:
    """All that is counted of a launch, each number where it is kept."""
    counted: Counter[tuple[str, str]] = Counter()
    for row in Discrepancy.objects.filter(launch=launch):
        counted[row.version, f"{row.kind} {row.path}"] += row.count
        counted[row.version, f"ignored {row.kind} {row.path}"] += row.ignored
    pairs: Counter[tuple[str, bool]] = Counter()
    for version, members, n in Signature.objects.filter(launch=launch).values_list(
        "version", "counted", "pairs"
    ):
        pairs[version, bool(members)] += n
    return {
        "discrepancies": +counted,
        "signatures": +pairs,
        "matrices": dict(
            Participant.objects.filter(launch=launch)
            .exclude(matrix={})
            .values_list("version", "matrix")
        ),
    }


def recount(
    launch: UUID, rules: Sequence[ComparisonRule], control: str = "vlatest"
) -> dict[str, Any]:
    """The same numbers, counted from the stored observations alone."""
    counted: Counter[tuple[str, str]] = Counter()
    pairs: Counter[tuple[str, bool]] = Counter()
    matrices: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rows = Observation.objects.filter(participant__launch=launch).exclude(state=State.RECEIVED)
    theirs = {
        (row.order_id, row.participant.version): row for row in rows.select_related("participant")
    }
    for (order, version), row in theirs.items():
        ours = theirs.get((order, control))
        if version == control or ours is None:
            continue
        ends = _ending(ours), _ending(row)
        judgement = judge(*ends, Rules.of(rules, version))
        matrices[version][cell(ends[0].state, ends[1].state, judgement.outcome)] += 1
        for group, rule in judgement.groups.items():
            ignored = "" if rule is None else "ignored "
            counted[version, f"{ignored}{group.kind} {group.path}"] += 1
        if judgement.groups:
            pairs[version, None in judgement.groups.values()] += 1
    return {
        "discrepancies": counted,
        "signatures": pairs,
        "matrices": {version: dict(matrix) for version, matrix in matrices.items()},
    }


def _ending(row: Observation) -> Ending:
    return Ending(
        state=State(row.state),
        result=json.loads(bytes(row.result)) if row.result else None,
        error_type=row.error_type,
        error_message=row.error_message,
    )


def preview(
    launch: UUID, draft: ComparisonRule, now: datetime, *, sample: Sample | None = None
) -> Preview:
    """What a rule would change, by as many steps as it takes."""
    progress = Progress.of(sample or Sample.now(launch))
    while (found := preview_step(launch, draft, now, progress)) is None:
        pass
    return found


def sweep(now: datetime, deadline: timedelta) -> int:
    """Mark all that is missing in every launch; gives how many answers are missing."""
    recorder, missing = Recorder.take_over(), 0
    while True:
        swept = recorder.sweep(now, deadline)
        missing += swept.missing
        if swept.is_done:
            return missing
