"""The dashboard's tables.

They refer to orders and launches of the restaurant by id, never by foreign key, so that they can be
dropped or moved to another database.
"""

from dashboard.models.former import FormerComparison, FormerObservation
from dashboard.models.orders import (
    DeadLetter,
    DeadLetterBatch,
    DeadLetterTally,
    LostOrder,
    Observation,
    ObservedOrder,
    ObserverState,
    Participant,
    RelaySession,
    StubOrder,
    TimeSlice,
)
from dashboard.models.review import (
    Discrepancy,
    Rejudging,
    Replay,
    ReplayedOrder,
    ReplayState,
    Review,
    Rule,
    Signature,
)
from dashboard.models.verdicts import (
    Evidence,
    EvidenceBlock,
    FinalVerdict,
    LaunchRequirements,
)

__all__ = [
    "DeadLetter",
    "DeadLetterBatch",
    "DeadLetterTally",
    "Discrepancy",
    "Evidence",
    "EvidenceBlock",
    "FinalVerdict",
    "FormerComparison",
    "FormerObservation",
    "LaunchRequirements",
    "LostOrder",
    "Observation",
    "ObservedOrder",
    "ObserverState",
    "Participant",
    "Rejudging",
    "RelaySession",
    "Replay",
    "ReplayState",
    "ReplayedOrder",
    "Review",
    "Rule",
    "Signature",
    "StubOrder",
    "TimeSlice",
]
