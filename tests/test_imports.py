"""Imports run one way: contract <- kitchens, contract <- restaurant <- dashboard; no circles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imports import circles, imports_of, production_modules, violations

_ROOT = Path(__file__).resolve().parent.parent
_MODULES = production_modules(_ROOT)
_IMPORTS = [one for name, path in _MODULES.items() for one in imports_of(name, path.read_text())]


def test_every_package_is_read() -> None:
    assert {"kitchen_worker.amqp.connection", "restaurant.orders", "dashboard.domain"} <= set(
        _MODULES
    )
    assert len(_IMPORTS) > 100


def test_no_import_breaks_a_rule() -> None:
    assert violations(_IMPORTS) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(_IMPORTS, _MODULES) == []


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
        ("dashboard.pages.board_views", "from kitchen_worker import worker"),
        ("dashboard.pages.board_views", "from local import ports"),
        ("dashboard.pages.board_views", "from tests import stack"),
        ("dashboard.domain.ledger", "from dashboard.models import Observation"),
        ("dashboard.domain.ledger", "from ..models import Observation"),
        ("dashboard.domain.ledger", "from kitchen_worker.contract.messages import Role"),
        ("dashboard.domain.ledger", "from django.utils import timezone"),
        ("dashboard.verdict.latch", "from django.utils import timezone"),
        ("dashboard.verdict.latch", "from dashboard.models import Tally"),
        ("dashboard.verdict.latch", "from dashboard.verdict import assessment"),
        ("dashboard.observing.recording", "from dashboard.verdict.assessment import assess"),
        ("dashboard.verdict.assessment", "from dashboard.board.frames import Json"),
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
        ("dashboard.pages.board_views", "from restaurant.models import Order"),
        ("dashboard.pages.board_views", "from dashboard.domain.ledger import Ledger"),
        ("dashboard.domain.ledger", "from dashboard.domain.outcome import Outcome"),
        ("dashboard.verdict.assessment", "from dashboard.models import Tally"),
        ("dashboard.observing.recording", "from dashboard.verdict.timing import Timing"),
        ("dashboard.board.frame", "from dashboard.verdict.assessment import assess"),
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
