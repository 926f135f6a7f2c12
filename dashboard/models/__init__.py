"""The dashboard's tables.

They refer to orders and launches of the restaurant by id, never by foreign key, so that they can be
dropped or moved to another database.
"""

from dashboard.models.former import FormerComparison, FormerObservation
from dashboard.models.launches import (
    OPEN_RAMPS,
    Guard,
    GuardAction,
    RampChange,
    RampChangeKind,
    RampPlan,
    RampState,
)
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
    DecisionStep,
    Evidence,
    EvidenceBlock,
    FinalVerdict,
    LaunchChoice,
    LaunchDecision,
    LaunchRecord,
    LaunchRequirements,
)

__all__ = [
    "OPEN_RAMPS",
    "DeadLetter",
    "DeadLetterBatch",
    "DeadLetterTally",
    "DecisionStep",
    "Discrepancy",
    "Evidence",
    "EvidenceBlock",
    "FinalVerdict",
    "FormerComparison",
    "FormerObservation",
    "Guard",
    "GuardAction",
    "LaunchChoice",
    "LaunchDecision",
    "LaunchRecord",
    "LaunchRequirements",
    "LostOrder",
    "Observation",
    "ObservedOrder",
    "ObserverState",
    "Participant",
    "RampChange",
    "RampChangeKind",
    "RampPlan",
    "RampState",
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
