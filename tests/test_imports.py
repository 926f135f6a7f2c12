"""Imports run one way: contract <- kitchens, contract <- restaurant <- dashboard; no circles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imports import circles, imports_of, production_modules, violations

_ROOT = Path(__file__).resolve().parent.parent
_MODULES = production_modules(_ROOT)
_IMPORTS = [one for name, path in _MODULES.items() for one in imports_of(name, path.read_text())]


def test_every_package_is_read() -> None:
    assert {"kitchen_worker.amqp.connection", "restaurant.orders", "dashboard.comparison"} <= set(
        _MODULES
    )
    assert len(_IMPORTS) > 100


def test_no_import_breaks_a_rule() -> None:
    assert violations(_IMPORTS) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(_IMPORTS, _MODULES) == []


def test_the_dashboard_reads_of_production_the_launch_and_what_the_relay_is_at() -> None:
    tables = tuple(
        f"restaurant.{name}."
        for name in ("models", "outbox", "resend", "sent_counts", "orders", "tickets")
    )
    read = {
        one.imported
        for one in _IMPORTS
        if one.module.startswith("dashboard.")
        and one.imported.startswith(tables)
        # It copies orders of the last release, once.
        and one.module != "dashboard.management.commands.carry_over"
    }

    assert read <= {
        "restaurant.models.BrokerProblem",
        "restaurant.models.DarkVersion",
        "restaurant.models.Launch",
        "restaurant.models.LaunchChange",
        "restaurant.models.LaunchChangeKind",
        "restaurant.outbox.Backlog",
        "restaurant.outbox.backlog",
        "restaurant.outbox.sent_since",
        "restaurant.resend.resend_counts",
        "restaurant.sent_counts.samples",
        "restaurant.sent_counts.sent_by_change",
    }


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kitchen_worker.amqp.broker", "from kitchen_worker.kitchens import vnext"),
        ("kitchen_worker.amqp.broker", "import restaurant.orders"),
        ("kitchen_worker.amqp.broker", "from django.db import models"),
        ("kitchen_worker.worker", "from restaurant import orders"),
        ("kitchen_worker.worker", "import django"),
        ("kitchen_worker.worker", "import aio_pika"),
        ("restaurant.orders", "from dashboard.models import Observation"),
        ("restaurant.orders", "from kitchen_worker.kitchens import vlatest"),
        ("restaurant.orders", "def place() -> None:\n    from restaurant import menu"),
        ("restaurant.orders", "import aiormq.exceptions"),
        ("restaurant.urls", "from kitchen_worker import worker"),
        ("dashboard.pages.board", "from kitchen_worker import worker"),
        ("dashboard.pages.board", "from local import ports"),
        ("dashboard.pages.board", "from tests import stack"),
        ("dashboard.comparison.outcome", "from dashboard.models import Observation"),
        ("dashboard.comparison.outcome", "from ..models import Observation"),
        ("dashboard.comparison.outcome", "from kitchen_worker.contract.messages import Role"),
        ("dashboard.comparison.outcome", "from django.utils import timezone"),
        ("dashboard.verdict.verdict", "from django.utils import timezone"),
        ("dashboard.review.reviews", "from django.db import transaction"),
        ("dashboard.board.rows", "from django.db import connection"),
        ("dashboard.verdict.verdict", "from dashboard.models import Participant"),
        ("dashboard.verdict.verdict", "from dashboard.verdict import assessment"),
        ("dashboard.fold.fold", "from dashboard.models import Observation"),
        ("dashboard.fold.fold", "from django.utils import timezone"),
        ("dashboard.fold.fold", "from dashboard.verdict.assessment import assess"),
        ("dashboard.ingest.rulebook", "from dashboard.review.reviews import review"),
        ("dashboard.ingest.recorder", "from dashboard.verdict.assessment import assess"),
        ("dashboard.ingest.recorder", "from dashboard.review.reviews import review"),
        ("dashboard.verdict.assessment", "from dashboard.board.frames import Json"),
        ("dashboard.review.thresholds", "from dashboard.launches.ramp import Step"),
        ("dashboard.launches.guards", "from dashboard.board.frame import board_state"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    assert len(violations(imports_of(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kitchen_worker.amqp.connection", "import aio_pika"),
        ("kitchen_worker.worker", "from kitchen_worker.amqp import broker"),
        ("restaurant.urls", "from dashboard import views"),
        ("restaurant.asgi", "from dashboard.board.consumers import BoardConsumer"),
        ("dashboard.pages.board", "from restaurant.models import Order"),
        ("dashboard.pages.board", "from dashboard.comparison.paths import shown"),
        ("dashboard.comparison.judgement", "from dashboard.comparison.outcome import Outcome"),
        ("dashboard.verdict.assessment", "from dashboard.models import Participant"),
        ("dashboard.ingest.recorder", "from dashboard.verdict.blocks import Timing"),
        ("dashboard.board.frame", "from dashboard.verdict.assessment import assess"),
        ("dashboard.board.frame", "from dashboard.launches.guards import on_the_board"),
        ("dashboard.ingest.observer", "from dashboard.launches.watching import Watcher"),
        ("restaurant.orders", "import restaurants_of_others"),
    ],
)
def test_what_the_layers_allow_is_no_violation(module: str, source: str) -> None:
    assert violations(imports_of(module, source)) == []


def test_a_planted_circle_is_found() -> None:
    sources = {
        "restaurant.a": "from restaurant import b",
        "restaurant.b": "from restaurant.c import something",
        "restaurant.c": "import restaurant.a",
        "restaurant.d": "from restaurant import a, e",
        "restaurant.e": "",
    }
    found = [one for name, source in sources.items() for one in imports_of(name, source)]
    assert circles(found, sources) == [["restaurant.a", "restaurant.b", "restaurant.c"]]
