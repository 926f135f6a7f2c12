"""What is grown are whole orders of the same launch, which the pages show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.events import ROLES, publish, reported
from bench.goals.p06_growth import PAGES, PASSWORD, Looker
from bench.growth import grow
from bench.rig import Engine, Product, Rig

RECORDED = 40
#: Tables that grow with the orders, and what a row of no order is.
ORPHANS = {
    "restaurant_orderline": "order_id not in (select id from restaurant_order)",
    "dashboard_observedorder": "number not in (select id from restaurant_order)",
    "dashboard_observation": "order_id not in (select id from dashboard_observedorder)",
}


@pytest.mark.broker
@pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_orders_are_copied_whole_and_pages_show_them(engine: Engine, tmp_path: Path) -> None:
    with (
        Rig(tmp_path) as rig,
        rig.product(engine=engine, DJANGO_SUPERUSER_PASSWORD=PASSWORD) as product,
    ):
        product.open(site=False)
        publish(product, reported(product, RECORDED, rate=10.0))
        product.wait_for_ends(len(ROLES) * RECORDED)
        product.stop("observer")
        before = {table: rows(product, table) for table in ("restaurant_order", *ORPHANS)}
        assert grow(product, 2 * RECORDED + 1, engine=engine) == 3 * RECORDED
        for table, count in before.items():
            assert rows(product, table) == 3 * count > 0
        for table, orphaned in ORPHANS.items():
            assert rows(product, table, f"where {orphaned}") == 0
        assert product.number("select count(distinct uuid) from restaurant_order") == 3 * RECORDED
        looker = Looker(product)
        for page in PAGES:
            assert looker.ms(page) > 0


def rows(product: Product, table: str, condition: str = "") -> int:
    return product.number(f"select count(*) from {table} {condition}")  # noqa: S608 - ours
