"""However the stream is split and whatever comes first, the same is known in the end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.comparison.outcome import State
from dashboard.comparison.rules import Rules
from dashboard.fold.admission import EventMessage, Known, OrderMessage, Stub, admit
from dashboard.fold.fold import fold
from dashboard.fold.records import (
    EvidenceRecord,
    Key,
    LaunchState,
    NextIds,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
    Report,
    Stored,
)
from dashboard.verdict.blocks import Timing
from kitchen_worker.contract.messages import Role

LAUNCH = UUID(int=1)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROLES = {"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE, "noise": Role.BASELINE}
RULES = {name: Rules([]) for name in ROLES}
RESULTS = [{"total": 1, "ticket": "a"}, {"total": 2, "ticket": "a"}, {"total": 1, "ticket": "b"}]

Message = OrderMessage | EventMessage


@dataclass
class World:
    """An observer without a database: what it knows after each batch."""

    ids: NextIds = field(default_factory=NextIds)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    observations: dict[Key, ObservationRecord] = field(default_factory=dict)
    stubs: dict[str, Stub] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    reports_outside: int = 0
    refused: list[str] = field(default_factory=list)
    state: LaunchState = field(
        default_factory=lambda: LaunchState(
            launch=LAUNCH,
            control="vlatest",
            participants={
                name: ParticipantRecord(version=name, role=role) for name, role in ROLES.items()
            },
        )
    )

    def take(self, messages: Sequence[Message]) -> None:
        """Take in one batch."""
        known = Known(
            orders=self.orders,
            stubs=self.stubs,
            outside=self.outside,
            roles={LAUNCH: ROLES},
            stubs_in_all=len(self.stubs),
        )
        admitted = admit(
            known,
            [one for one in messages if isinstance(one, OrderMessage)],
            [one for one in messages if isinstance(one, EventMessage)],
            self.ids,
            NOW,
        )
        self.outside |= set(admitted.outside)
        self.reports_outside += admitted.reports_outside
        self.refused += [one.reason for one in admitted.refused]
        self.stubs |= admitted.stubs
        for order_id in admitted.filled:
            del self.stubs[order_id]
        for batch in admitted.batches.values():
            stored = Stored(
                state=self.state,
                orders=self.orders,
                observations=self.observations,
                rules=RULES,
                timing=Timing(),
            )
            changes = fold(stored, batch, self.ids, NOW)
            self.orders |= {one.order_id: one for one in changes.orders}
            named = {one.id: one.order_id for one in self.orders.values()}
            self.observations |= {
                (named[one.order], one.version): one for one in changes.observations
            }
            slices = {**self.state.slices, **changes.slices}
            self.state = msgspec_state(changes.applied_to(self.state), slices)

    def numbers(self) -> dict[str, Any]:
        """All that is known, without the ids, which are given as things come."""
        groups = {pk: f"{one.group.kind} {one.group.path}" for pk, one in self._discrepancies()}
        return {
            "orders": {key: msgspec.structs.replace(one, id=0) for key, one in self.orders.items()},
            "observations": {
                key: _without_ids(one, groups) for key, one in self.observations.items()
            },
            "stubs": self.stubs.keys(),
            # How many of their reports came is not told from how often one came.
            "outside": self.outside,
            "refused": sorted(self.refused),
            "participants": self.state.participants,
            "slices": self.state.slices,
            "discrepancies": {
                (one.version, one.group): msgspec.structs.replace(one, id=0)
                for _, one in self._discrepancies()
            },
            "signatures": {
                (one.version, *sorted(groups[pk] for pk in one.members.all)): one.pairs
                for one in self.state.signatures.values()
            },
            "evidence": {
                one.epoch: _named(_evidence(one), groups) for one in self.state.evidence.values()
            },
        }

    def _discrepancies(self) -> Any:
        return self.state.discrepancies.items()


def msgspec_state(state: LaunchState, slices: Any) -> LaunchState:
    """The state with slices, which a recorder keeps apart."""
    return LaunchState(**{**vars(state), "slices": slices})


def _without_ids(one: ObservationRecord, groups: dict[int, str]) -> Any:
    comparison = one.comparison
    shown = sorted(groups[pk] for pk in comparison.members.all) if comparison else None
    if comparison is not None:
        comparison = msgspec.structs.replace(comparison, signature=None, members=None)
    return msgspec.structs.replace(one, id=0, order=0, comparison=comparison), shown


def _evidence(one: EvidenceRecord) -> str:
    tally = one.tally
    blocks = {str(number): sums.to_json() for number, sums in tally.blocks.items()}
    counts = [tally.late, tally.lost, tally.bad]
    return json.dumps([{"blocks": blocks, "counts": counts}, one.coverage.to_json()])


def _named(text: str, groups: dict[int, str]) -> Any:
    """The evidence as JSON, in which each name of discrepancies says what they stand for."""
    document = json.loads(text)

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {_renamed(name, groups): renamed(inner) for name, inner in value.items()}
        return [renamed(inner) for inner in value] if isinstance(value, list) else value

    for block in document[0]["blocks"].values():
        for name in ("classes", "signatures", "only_shown", "only_noise"):
            if name in block:
                block[name] = renamed(block[name])
    document[1] = {
        shape: [seen, renamed(shown)] for shape, (seen, shown) in document[1]["shapes"].items()
    }
    return document


def _renamed(name: str, groups: dict[int, str]) -> str:
    sides = name.split("|")
    return "|".join(
        ",".join(
            sorted(
                groups.get(int(one), one) if re.fullmatch(r"\d+", one) else one
                for one in side.split(",")
            )
        )
        for side in sides
    )


@st.composite
def _streams(draw: st.DrawFn) -> list[Message]:
    """All messages of a few orders, in the order in which they were sent."""
    messages: list[Message] = []
    for number in range(draw(st.integers(1, 5))):
        order_id = f"order-{number}"
        placed_at = NOW - timedelta(seconds=draw(st.integers(0, 30)))
        dark = draw(st.sets(st.sampled_from(["vnext", "noise"])))
        is_outside = draw(st.integers(0, 5)) == 0
        comes = draw(st.integers(0, 9)) > 0
        record = OrderRecord(
            id=0,
            order_id=order_id,
            launch=LAUNCH,
            arrived_at=NOW,
            sent_at=placed_at,
            placed_at=placed_at,
            size=2,
            categories=("note:no", f"item:{number % 2}"),
            sample=frozenset(dark),
        )
        order = OrderMessage(record=record, launch=None if is_outside else LAUNCH)
        messages += [order] * (draw(st.integers(1, 2)) if comes else 0)
        for version in ("vlatest", *sorted(dark)):
            messages += _reports(draw, order_id, version, placed_at, is_outside=is_outside)
    return messages


def _reports(
    draw: st.DrawFn, order_id: str, version: str, placed_at: datetime, *, is_outside: bool
) -> list[Message]:
    says = draw(st.sampled_from(["nothing", "start", "handled", "handled", "handled", "failed"]))
    if says == "nothing":
        return []
    launch = None if is_outside or draw(st.integers(0, 3)) == 0 else LAUNCH
    start = Report(
        event_id=f"{order_id} {version} start",
        order_id=order_id,
        version=version,
        state=State.RECEIVED,
        received_at=placed_at,
        build=f"{version} 1",
    )
    reports = [start] if says == "start" or draw(st.booleans()) else []
    if says != "start":
        end = msgspec.structs.replace(
            start,
            event_id=f"{order_id} {version} end",
            state=State(says),
            finished_at=placed_at + timedelta(seconds=1),
            handling_ms=float(draw(st.integers(1, 5))),
        )
        if says == "handled":
            result = json.dumps(draw(st.sampled_from(RESULTS))).encode()
            end = msgspec.structs.replace(end, result=result)
        else:
            end = msgspec.structs.replace(end, error_type="Error", error_message="burnt")
        reports += [end] * draw(st.integers(1, 2))
    return [EventMessage(report=one, launch=launch, role=ROLES[version]) for one in reports]


def _played(messages: Sequence[Message], cuts: Sequence[int]) -> dict[str, Any]:
    world, last = World(), 0
    for cut in (*sorted(set(cuts)), len(messages)):
        if cut > last:
            world.take(messages[last:cut])
        last = max(last, cut)
    return world.numbers()


@settings(max_examples=150, deadline=None)
@given(st.data(), _streams())
def test_any_split_and_any_permutation_of_the_stream_gives_the_same(
    data: st.DataObject, stream: list[Message]
) -> None:
    mixed = data.draw(st.permutations(stream))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert _played(mixed, cuts) == _played(stream, [])
