"""What the observer does for the launches once a second: guards first, then ramp plans."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from dashboard.launches import guards, ramp
from dashboard.launches.guards import Reason
from dashboard.launches.ramp import Act, Facts, RampRefused
from dashboard.models import OPEN_RAMPS, Guard, GuardAction, RampPlan, RampState
from dashboard.verdict.assessment import Assessment, assess
from dashboard.verdict.traffic import Feed, Traffic, read_traffic
from kitchen_worker.contract.messages import Role
from restaurant.launches import find_launch, open_launch
from restaurant.models import DarkVersion, Launch, LaunchChange

logger = logging.getLogger(__name__)


def versions_to_watch() -> list[str]:
    """The versions of the open launch whose queues guards and plans need to know."""
    launch = open_launch()
    if launch is None or not (_plans() or any(guards.are_on().values())):
        return []
    dark = launch.dark_versions.values_list("version", flat=True)
    return [launch.control, *dark]


@dataclass
class Watcher:
    """Guards and ramp plans of one observer."""

    #: Since when nothing can be concluded, by plan.
    _doubtful_since: dict[int, datetime] = field(default_factory=dict)

    def watch(self, queues: Mapping[str, int] | None, now: datetime) -> set[UUID]:
        """Have guards and plans do what they are to do; returns the launches that changed.

        ``queues``: waiting messages by queue; None if unknown. It may be repeated, and done by two
        observers at the same time.
        """
        changed = _carry_out(now)
        launch = open_launch()
        plans = _plans()
        for plan in plans:
            if launch is None or plan.launch != launch.pk:
                changed |= _advance(plan, None, Facts(percent=None), now)
        if launch is not None:
            own = {plan.version: plan for plan in plans if plan.launch == launch.pk}
            changed |= self._watch(launch, own, queues, now)
        return changed

    def _watch(
        self,
        launch: Launch,
        plans: Mapping[str, RampPlan],
        queues: Mapping[str, int] | None,
        now: datetime,
    ) -> set[UUID]:
        changed: set[UUID] = set()
        is_on, traffic = guards.are_on(), None
        for dark in launch.dark_versions.filter(role=Role.CANDIDATE):
            plan = plans.get(dark.version)
            is_running = plan is not None and plan.state == RampState.RUNNING
            assessment = None
            if is_running or (is_on[Guard.WORSE] and dark.percent):
                traffic = traffic or read_traffic(launch, queues)
                assessment = assess(launch, dark.version, traffic)
            if dark.percent:
                for reason in _reasons(launch, dark, assessment, is_on, queues or {}, now):
                    changed |= _stop(launch, dark, reason, now)
            if plan is not None and is_running and traffic is not None:
                facts = _facts(launch, dark, traffic, assessment)
                changed |= _advance(plan, launch, self._aged(plan, facts, now), now)
        return changed

    def _aged(self, plan: RampPlan, facts: Facts, now: datetime) -> Facts:
        if not facts.doubt:
            self._doubtful_since.pop(plan.pk, None)
            return facts
        return replace(facts, doubtful=now - self._doubtful_since.setdefault(plan.pk, now))


def _plans() -> list[RampPlan]:
    return list(RampPlan.objects.filter(state__in=OPEN_RAMPS))


def _carry_out(now: datetime) -> set[UUID]:
    """Do what an earlier process did not finish."""
    changed = set()
    for action in GuardAction.objects.filter(stopped_at__isnull=True, acknowledged_at__isnull=True):
        if (launch := find_launch(action.launch)) is not None:
            guards.carry_out(action, launch, now)
            changed.add(launch.pk)
    return changed


def _reasons(
    launch: Launch,
    dark: DarkVersion,
    assessment: Assessment | None,
    is_on: Mapping[Guard, bool],
    queues: Mapping[str, int],
    now: datetime,
) -> list[Reason]:
    """Why guards stop a candidate now."""
    found = []
    if is_on[Guard.WORSE] and assessment is not None:
        found.append(_worse(launch, dark.version, assessment))
    if is_on[Guard.QUEUE_FULL]:
        found.append(guards.full_queue(launch, dark.version, queues))
    if is_on[Guard.CONTROL_SLOWED]:
        found.append(guards.slowed_control(launch, dark.version, now))
    return [one for one in found if one is not None]


def _worse(launch: Launch, version: str, assessment: Assessment) -> Reason | None:
    evaluation = assessment.evaluation
    if evaluation is None:
        return None
    orders, build = evaluation.evidence.orders, evaluation.row.version_build
    why = guards.when_worse(
        evaluation.verdict.word,
        evaluation.verdict.sentence(version),
        orders=orders,
        build=build,
        last=guards.last_acknowledged(launch.pk, version, Guard.WORSE),
    )
    return Reason(Guard.WORSE, why, orders, build) if why else None


def _stop(launch: Launch, dark: DarkVersion, reason: Reason, now: datetime) -> set[UUID]:
    if guards.stop(launch, dark, reason, now) is None:
        return set()
    logger.warning(
        "%s is stopped: %s",
        dark.version,
        reason.why,
        extra={"action": "guard", "guard": reason.guard},
    )
    return {launch.pk}


def _advance(plan: RampPlan, launch: Launch | None, facts: Facts, now: datetime) -> set[UUID]:
    try:
        move = ramp.advance(plan, launch, facts, now)
    except RampRefused:
        return set()  # a person changed it at the same moment
    if move.act is Act.WAIT:
        return set()
    logger.info(
        "the ramp plan of %s: %s%s",
        plan.version,
        move.act,
        f" ({move.why})" if move.why else "",
        extra={"action": "ramp"},
    )
    return {plan.launch}


def _facts(
    launch: Launch, dark: DarkVersion, traffic: Traffic, assessment: Assessment | None
) -> Facts:
    dark.refresh_from_db(fields=["percent"])
    evaluation = assessment.evaluation if assessment is not None else None
    counted = traffic.participant(dark.version)
    acted = guards.unacknowledged(launch.pk, dark.version).first()
    newest = LaunchChange.objects.filter(launch=launch, version=dark.version).first()
    return Facts(
        percent=dark.percent,
        orders=counted.handled + counted.failed if counted is not None else 0,
        set_by=f"{newest.author}: {newest.reason}" if newest is not None else "",
        word=evaluation.verdict.word if evaluation is not None else None,
        sentence=guards.without_question(evaluation.verdict.sentence(dark.version))
        if evaluation is not None
        else "",
        guard=f"the guard “{acted.guard}” stopped {dark.version}: {acted.why}" if acted else "",
        stale=_stale(traffic),
    )


def _stale(traffic: Traffic) -> str:
    if traffic.feed is not Feed.STALE:
        return ""
    age_s = traffic.age_s
    return f"events are stale: {'no event yet' if age_s is None else f'newest {age_s:,.0f} s ago'}"
