"""The verdict's word on each candidate, for pages that show it once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from dashboard.board.broker import ask_for_depths
from dashboard.models import FinalVerdict
from dashboard.verdict.assessment import Assessment, assess
from dashboard.verdict.thresholds import Requirement, RequirementStatus
from dashboard.verdict.traffic import read_traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch

#: How long a page waits for queue lengths.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A verdict in a word and a sentence; both are empty without one."""

    word: str = ""
    sentence: str = ""
    is_final: bool = False

    @property
    def slug(self) -> str:
        return self.word.replace(" ", "-")


def candidates_of(launch: Launch) -> list[str]:
    """The candidates of a launch, first the first one."""
    return [one.version for one in launch.dark_versions.all() if one.role == Role.CANDIDATE]


def final_words(launches: Collection[UUID]) -> Mapping[UUID, Mapping[str, Spoken]]:
    """The final verdicts of launches, by launch and version."""
    found: defaultdict[UUID, dict[str, Spoken]] = defaultdict(dict)
    for one in FinalVerdict.objects.filter(launch__in=launches).defer("verdict"):
        found[one.launch][one.version] = Spoken(one.word, is_final=True)
    return found


def words_now(launch: Launch) -> dict[str, Spoken]:
    """The verdict on each candidate as of now: the final one if there is one.

    The broker is asked for queue lengths only if nothing but the backlog keeps a candidate from
    being ready.
    """
    names, traffic = candidates_of(launch), read_traffic(launch, queues=None)
    found = {name: assess(launch, name, traffic) for name in names}
    if launch.ended_at is None and any(map(_waits_for_depths, found.values())):
        depths = ask_for_depths(
            settings.ENVIRONMENT.amqp_url, [launch.control, *names], patience_s=_PATIENCE_S
        )
        traffic = read_traffic(launch, depths)
        found = {name: assess(launch, name, traffic) for name in names}
    return {name: _spoken(one) for name, one in found.items()}


def _waits_for_depths(assessment: Assessment) -> bool:
    verdict = assessment.verdict or {"requirements": []}
    open_ones = [
        one["key"] for one in verdict["requirements"] if one["standing"] != RequirementStatus.PASSED
    ]
    return open_ones == [Requirement.KEEPING_UP]


def _spoken(assessment: Assessment) -> Spoken:
    verdict = assessment.verdict
    if verdict is None:
        return Spoken()
    return Spoken(verdict["word"], verdict["sentence"], assessment.final is not None)
