"""One order: its pairs with every difference, its timeline, and its messages to send again."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from dashboard.board import wording
from dashboard.comparison.folding import containing_group
from dashboard.comparison.judgement import Ending, Group, Judgement, differences, group_of, judge
from dashboard.comparison.outcome import ACCEPTED, Decision, Outcome, State
from dashboard.comparison.rules import ComparisonRule, Rules
from dashboard.ingest.rulebook import compiled, stored_rules, usable_rules
from dashboard.models import Discrepancy, Observation, ObservedOrder
from dashboard.pages.side_by_side import Mark, MarkStatus
from dashboard.review.replaying import ending_of
from kitchen_worker.contract.messages import ORDER_PLACED, OrderItem, Role
from kitchen_worker.contract.topology import LAUNCH_HEADER, ORDERS, ORDERS_DARK, dark_header
from restaurant.menu import BY_NAME


@dataclass(frozen=True)
class Rulebook:
    """The rules in force with their reasons."""

    in_force: tuple[ComparisonRule, ...]
    reasons: Mapping[int, str]

    @classmethod
    def of(cls, now: datetime) -> Rulebook:
        """Read in one query."""
        rows = stored_rules(now)
        return cls(tuple(usable_rules(rows)), {row.pk: row.reason for row in rows})

    def rules(self, version: str) -> Rules:
        """The rules for one version."""
        return compiled(self.in_force, version)


@dataclass(frozen=True)
class Groups:
    """A version's discrepancies by kind and path."""

    rows: Mapping[Group, Discrepancy]

    @classmethod
    def of(cls, launch: UUID, versions: Iterable[str]) -> dict[str, Groups]:
        """The groups of these versions in a launch, read in one query."""
        found: dict[str, dict[Group, Discrepancy]] = {version: {} for version in versions}
        for row in Discrepancy.objects.filter(launch=launch, version__in=found):
            found[row.version][row.group] = row
        return {version: cls(rows) for version, rows in found.items()}

    def of_group(self, group: Group) -> Discrepancy | None:
        """The discrepancy that counts a group: its own, or one of several kinds."""
        place = group if group in self.rows else containing_group(group, self.rows)
        return self.rows[place] if place is not None else None


@dataclass(frozen=True, kw_only=True)
class SharedDifferences:
    """Differences that a discrepancy of several kinds counts together."""

    status: MarkStatus
    #: How many of the marked ones; None for differences that are not listed one by one.
    number: int | None = None
    discrepancy: Discrepancy | None = None


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """A version's result of the order compared with the control's."""

    version: str
    role: str
    outcome: Outcome
    #: Each difference of two results, or of two failures.
    marks: tuple[Mark, ...] = ()
    beyond: tuple[SharedDifferences, ...] = ()
    #: The discrepancy of a failure of only one of them.
    failure: Discrepancy | None = None
    #: The stored outcome, if the current rules give another one.
    judged_as: str = ""
    numbers: Mapping[MarkStatus, int] = field(default_factory=dict)

    @property
    def has_both_results(self) -> bool:
        """Whether both versions handled the order."""
        return self.outcome in (Outcome.AGREE, Outcome.DIFFER)

    @property
    def has_more(self) -> bool:
        """Whether there are more differences than are marked."""
        return any(one.number is None for one in self.beyond)

    @property
    def counting(self) -> int:
        """Differences that count against the version."""
        return self.numbers.get(MarkStatus.OPEN, 0)

    @property
    def accepted(self) -> int:
        """Differences that a person has accepted."""
        return self.numbers.get(MarkStatus.ACCEPTED, 0)

    @property
    def ignored(self) -> int:
        """Differences that a rule ignores."""
        return self.numbers.get(MarkStatus.IGNORED, 0)


def pairs_of(launch: UUID, observations: Sequence[Observation], now: datetime) -> list[ShownPair]:
    """Every ended pair of one order, in the order of the observations."""
    control = next((one for one in observations if one.participant.role == Role.CONTROL), None)
    others = [one for one in observations if one is not control]
    if control is None or control.state == State.RECEIVED or not others:
        return []
    rulebook = Rulebook.of(now)
    groups = Groups.of(launch, [one.participant.version for one in others])
    return [
        _pair(control, one, rulebook, groups[one.participant.version])
        for one in others
        if one.state != State.RECEIVED
    ]


def marks_of(
    control: Ending, version: Ending, rulebook: Rulebook, name: str, groups: Groups
) -> list[Mark]:
    """Each difference of a pair that both handled, or both failed."""
    return [
        _mark(difference_and_rule, rulebook, groups)
        for difference_and_rule in differences(control, version, rulebook.rules(name))
    ]


def _mark(found: tuple[Any, int | None], rulebook: Rulebook, groups: Groups) -> Mark:
    difference, rule = found
    row = groups.of_group(group_of(difference))
    status = _status(row, rule)
    if rule is not None:
        why = rulebook.reasons.get(rule, "")
    else:
        why = Decision(row.state).value.replace("_", " ") if row is not None else ""
    return Mark(
        difference=difference,
        status=status,
        why=why,
        discrepancy=row.pk if row is not None else None,
    )


def _status(row: Discrepancy | None, rule: int | None) -> MarkStatus:
    if rule is not None:
        return MarkStatus.IGNORED
    accepted = row is not None and row.state in ACCEPTED
    return MarkStatus.ACCEPTED if accepted else MarkStatus.OPEN


def _beyond(
    marks: Sequence[Mark], judged: Judgement, groups: Groups
) -> Iterator[SharedDifferences]:
    """A pair's differences in discrepancies of several kinds."""
    by_id = {row.pk: row for row in groups.rows.values()}
    shared: Counter[tuple[int, MarkStatus]] = Counter()
    marked = set()
    for mark in marks:
        group = group_of(mark.difference)
        marked.add(group)
        row = by_id.get(mark.discrepancy or 0)
        if row is not None and row.group != group:
            shared[row.pk, mark.status] += 1
    for (pk, status), number in shared.items():
        yield SharedDifferences(status=status, number=number, discrepancy=by_id[pk])
    for group, rule in judged.groups.items():
        if group not in marked:
            row = groups.of_group(group)
            yield SharedDifferences(status=_status(row, rule), discrepancy=row)


def _pair(control: Observation, one: Observation, rulebook: Rulebook, groups: Groups) -> ShownPair:
    version = one.participant.version
    ends = ending_of(control), ending_of(one)
    judged = judge(*ends, rulebook.rules(version))
    stored = "" if one.judged_at is None else one.exception or Outcome.AGREE
    marks: list[Mark] = []
    beyond: list[SharedDifferences] = []
    failure = None
    if judged.outcome in (Outcome.CANDIDATE_FAILED, Outcome.CONTROL_FAILED):
        failure = next((groups.of_group(group) for group in judged.groups), None)
    elif judged.outcome is not Outcome.MISSING:
        marks = marks_of(*ends, rulebook, version, groups)
        beyond = list(_beyond(marks, judged, groups))
    unmarked = [one.status for one in beyond if one.number is None]
    return ShownPair(
        version=version,
        role=one.participant.role,
        outcome=judged.outcome,
        marks=tuple(marks),
        beyond=tuple(beyond),
        failure=failure,
        judged_as=stored.replace("_", " ") if stored and stored != judged.outcome else "",
        numbers=Counter([*(mark.status for mark in marks), *unmarked]),
    )


#: The axis is longer than the order by this factor.
_AIR = 1.04
_OPEN = frozenset({"waiting", State.RECEIVED.value})


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of the axis in SVG percentages."""

    start: str
    width: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A version's row of the timeline."""

    version: str
    role: str
    state: str
    text: str
    seen: Observation | None
    #: From placed to received.
    waited: Span | None = None
    worked: Span | None = None
    end: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """All versions of one order on one axis, which starts when the order was placed."""

    lanes: tuple[Lane, ...]
    #: Position and label of each mark of the axis.
    ticks: tuple[tuple[str, str], ...]
    #: Until it was published.
    sent: Span

    @property
    def is_open(self) -> bool:
        """Whether a version may still answer."""
        return any(lane.state in _OPEN for lane in self.lanes)


@dataclass(frozen=True)
class _Axis:
    start: datetime
    span_ms: float

    def ms(self, when: datetime) -> float:
        return max((when - self.start) / timedelta(milliseconds=1), 0.0)

    def percent(self, ms: float) -> str:
        return f"{min(ms / self.span_ms, 1) * 100:.2f}%"

    def span(self, begin: datetime, end: datetime, text_ms: float | None = None) -> Span:
        first, last = self.ms(begin), self.ms(end)
        length = max(last - first, 0.0)
        return Span(
            start=self.percent(first),
            width=self.percent(length),
            text=wording.duration(length if text_ms is None else text_ms),
        )


def _participants(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and roles of the versions of the order's launch, the control first."""
    launch = detail["launch"]
    seen = [(one.participant.version, one.participant.role) for one in detail["observations"]]
    if launch is None:
        return seen
    dark = [(version.version, version.role) for version in launch.dark_versions.all()]
    known = [(launch.control, Role.CONTROL.value), *dark]
    names = {name for name, _ in known}
    return known + [part for part in seen if part[0] not in names]


def lay_out(detail: Mapping[str, Any]) -> Timeline:
    """Arrange every version's observation on one axis."""
    order: ObservedOrder = detail["order"]
    start = order.placed_at
    seen = {one.participant.version: one for one in detail["observations"]}
    moments = [one.finished_at or one.received_at for one in seen.values()]
    latest = max(when for when in [*moments, order.sent_at, start] if when)
    axis = _Axis(start, max((latest - start) / timedelta(milliseconds=1), 1.0) * _AIR)
    sampled = {*order.sample, _participants(detail)[0][0]} if _participants(detail) else set()
    return Timeline(
        lanes=tuple(
            _lane(axis, seen[name])
            if name in seen
            else _silent(name, role, sampled=name in sampled)
            for name, role in _participants(detail)
        ),
        ticks=tuple(_ticks(axis)),
        sent=axis.span(start, order.sent_at),
    )


def _lane(axis: _Axis, one: Observation) -> Lane:
    received, finished = one.received_at, one.finished_at
    begun = received or finished
    return Lane(
        version=one.participant.version,
        role=one.participant.role,
        state=one.state,
        text=f"{one.state}, late" if one.late else str(one.state),
        seen=one,
        waited=axis.span(axis.start, begun, one.queue_ms) if begun else None,
        worked=axis.span(received, finished, one.handling_ms) if received and finished else None,
        end=axis.percent(axis.ms(finished)) if finished else "",
    )


def _silent(name: str, role: str, *, sampled: bool) -> Lane:
    state = "waiting" if sampled else "unsampled"
    text = "no answer yet" if sampled else "not sampled"
    return Lane(version=name, role=role, state=state, text=text, seen=None)


def nice_scale(longest_ms: float) -> float:
    """The smallest round step (1, 2, 3, 4, 5, 6, 8, 10, 20, ... ms) that holds this time."""
    if longest_ms <= 1:
        return 1
    power: float = 10 ** math.floor(math.log10(longest_ms))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if longest_ms <= step * power)


def _ticks(axis: _Axis) -> list[tuple[str, str]]:
    step = nice_scale(axis.span_ms / 5)
    marks = [step * n for n in range(int(axis.span_ms // step) + 1)]
    return [(axis.percent(ms), wording.duration(ms) if ms else "placed") for ms in marks]


_NEXT = " \\\n  "


def curl(lines: Sequence[OrderItem], note: str, *, url: str) -> str:
    """The command for the restaurant's API; empty if an item is not on the menu."""
    if any(line.name not in BY_NAME for line in lines):
        return ""
    names = [line.name for line in lines for _ in range(line.quantity)]
    body = json.dumps({"menuItems": names} | ({"note": note} if note else {}))
    parts = [f"curl -X POST {shlex.quote(url)}", "-H 'Content-Type: application/json'"]
    return _NEXT.join([*parts, f"--data {shlex.quote(body)}"])


def amqp_publish(body: str, headers: dict[str, str], *, exchange: str = ORDERS) -> str:
    """The command that publishes a message with amqp-tools."""
    options = [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    # amqp-tools takes a trailing slash for the virtual host "".
    parts = [f'amqp-publish --url "${{AMQP_URL%/}}" --exchange {exchange} --persistent']
    parts += ["--content-type application/json", *options, f"--body {shlex.quote(body)}"]
    return _NEXT.join(parts)


def headers(launch: str, sample: Sequence[str]) -> dict[str, str]:
    """The order message's headers."""
    known = {LAUNCH_HEADER: launch} if launch else {}
    return known | {dark_header(name): "1" for name in sample}


def to_dark(body: str, launch: str, sample: Sequence[str]) -> list[tuple[str, str]]:
    """The command for each dark version in the sample that sends the order to it alone."""
    return [
        (version, amqp_publish(body, headers(launch, [version]), exchange=ORDERS_DARK))
        for version in sample
    ]


def sent_message(order: str, body: str, headers: dict[str, str]) -> str:
    """The order's message as the relay publishes it; empty if it is not stored."""
    if not body:
        return ""
    try:
        decoded: Any = json.loads(body)
    except (ValueError, RecursionError):
        decoded = body
    properties = {
        "exchange": ORDERS,
        "type": ORDER_PLACED,
        "message_id": order,
        "headers": headers,
        "body": decoded,
    }
    return json.dumps(properties, indent=2, ensure_ascii=False)


def result(one: Observation) -> Any:
    """A version's result; None if it did not handle the order."""
    return msgspec.json.decode(one.result) if one.result else None


def event(order: ObservedOrder, one: Observation) -> str:
    """A version's event as JSON, from what was recorded of it."""
    failed = one.state == State.FAILED
    message = {
        "kind": one.state,
        "order_id": order.order_id,
        "launch": str(order.launch),
        "version": one.participant.version,
        "role": one.participant.role,
        "build": one.build,
        "worker": one.worker,
        "delivery": one.delivery,
        "placed_at": _moment(order.placed_at),
        "received_at": _moment(one.received_at),
        "finished_at": _moment(one.finished_at),
        "queue_ms": one.queue_ms,
        "handling_ms": one.handling_ms,
        "result": result(one),
        "error": {"type": one.error_type, "message": one.error_message} if failed else None,
    }
    return json.dumps(message, indent=2, ensure_ascii=False)


def _moment(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat().replace("+00:00", "Z")
