"""The dashboard's tables.

Orders and launches are named by their ids and never by foreign keys: these tables can be dropped,
and kept elsewhere, without the restaurant noticing.
"""

from dashboard.models.discrepancies import Discrepancy, Example, Review, Signature
from dashboard.models.facts import (
    Comparison,
    DeadLetter,
    DeadLetterBatch,
    DeadLetterTally,
    Observation,
    Sweep,
    Tally,
    TimeSlice,
)
from dashboard.models.replays import Replay, ReplayedOrder, ReplayState
from dashboard.models.rules import Rejudging, Rule
from dashboard.models.verdicts import (
    Evidence,
    EvidenceBlock,
    FinalVerdict,
    LaunchRequirements,
)

__all__ = [
    "Comparison",
    "DeadLetter",
    "DeadLetterBatch",
    "DeadLetterTally",
    "Discrepancy",
    "Evidence",
    "EvidenceBlock",
    "Example",
    "FinalVerdict",
    "LaunchRequirements",
    "Observation",
    "Rejudging",
    "Replay",
    "ReplayState",
    "ReplayedOrder",
    "Review",
    "Rule",
    "Signature",
    "Sweep",
    "Tally",
    "TimeSlice",
]
