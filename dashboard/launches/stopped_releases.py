"""How many bad releases were stopped: the count on the list of launches."""

from __future__ import annotations

from dashboard.models import DecisionStep, FinalVerdict, LaunchChoice, LaunchDecision
from dashboard.verdict.wording import Word
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion


def bad_releases_stopped() -> int:
    """Candidates, each once a launch, that were WORSE and then abandoned, or had 0 % at the end.

    WORSE counts as the final verdict, or as that at the time of the decision.
    """
    worse = set(FinalVerdict.objects.filter(word=Word.WORSE).values_list("launch", "version"))
    decisions = LaunchDecision.objects.filter(step=DecisionStep.DECIDED)
    decided = decisions.values_list("launch", "version", "choice", "word")
    abandoned = {
        (launch, version)
        for launch, version, choice, word in decided
        if choice == LaunchChoice.ABANDON and (word == Word.WORSE or (launch, version) in worse)
    }
    promoted = {
        (launch, version)
        for launch, version, choice, _ in decided
        if choice == LaunchChoice.PROMOTE
    }
    stopped = DarkVersion.objects.filter(
        role=Role.CANDIDATE, percent=0, launch__in={launch for launch, _ in worse}
    )
    at_zero = set(stopped.values_list("launch", "version")) & worse
    return len(abandoned | (at_zero - promoted))
