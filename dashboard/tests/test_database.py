"""The dashboard's database and that of all other tables keep out of each other's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import DEFAULT_DB_ALIAS, connections

from dashboard.database import ALIAS, Router, atomic, connection
from dashboard.models import Participant, Rule
from restaurant.models import Launch, Order
from restaurant.tests.making import impatient, some_orders

_LONG_S = 30.0


@pytest.mark.django_db(transaction=True)
def test_orders_are_placed_while_a_transaction_of_the_dashboards_is_open() -> None:
    def place() -> int:
        with impatient():
            return len(some_orders(10))

    with ThreadPoolExecutor(1) as thread, atomic():
        Participant.objects.create(launch="0" * 32, version="vnext", role="candidate")
        assert thread.submit(place).result(_LONG_S) == 10
    assert (Order.objects.count(), Participant.objects.count()) == (10, 1)


@pytest.mark.sqlite
@pytest.mark.django_db
def test_on_sqlite_each_table_is_in_one_file_alone() -> None:
    tables = {
        alias: set(connections[alias].introspection.table_names()) - {"django_migrations"}
        for alias in connections
    }
    assert tables.keys() == {DEFAULT_DB_ALIAS, ALIAS}
    assert {name for name in tables[ALIAS] if not name.startswith("dashboard_")} == set()
    assert {name for name in tables[DEFAULT_DB_ALIAS] if name.startswith("dashboard_")} == set()
    models = apps.get_app_config("dashboard").get_models()
    assert {model._meta.db_table for model in models} <= tables[ALIAS]


@pytest.mark.django_db
def test_permissions_of_the_dashboards_models_are_where_the_users_are() -> None:
    assert Permission.objects.using(DEFAULT_DB_ALIAS).filter(codename="view_discrepancy").exists()


@pytest.mark.postgres
@pytest.mark.django_db
def test_on_postgresql_a_thread_has_one_connection_unless_a_second_database_is_given() -> None:
    if settings.ENVIRONMENT.dashboard_database_url:
        assert connection() is not connections[DEFAULT_DB_ALIAS]
    else:
        assert list(connections) == [DEFAULT_DB_ALIAS]
        assert connection() is connections[DEFAULT_DB_ALIAS]


def test_nothing_of_the_dashboards_is_related_to_anything_else() -> None:
    router = Router()
    assert not router.allow_relation(Rule(), Launch())
    assert router.allow_relation(Rule(), Participant())
    for model in apps.get_app_config("dashboard").get_models():
        related = (field.related_model for field in model._meta.get_fields())
        assert {one._meta.app_label for one in related if one} <= {"dashboard"}, model
