"""The dashboard's URLs."""

from __future__ import annotations

from urllib.parse import quote, unquote

from django.urls import path, register_converter

from dashboard.pages import (
    board,
    coverage,
    discrepancies,
    evidence,
    launch_acts,
    launch_record,
    launches,
    ramp,
    replays,
    review,
    rules,
    thresholds,
)


class OrderId:
    """An order's id, which may hold any characters, as one segment of a path."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """Decode an id."""
        return unquote(value)

    def to_url(self, value: object) -> str:
        """Encode an id; dots alone would be a relative path."""
        order_id = str(value)
        return quote(order_id, safe="") if order_id.strip(".") else "%2E" * len(order_id)


register_converter(OrderId, "order_id")

urlpatterns = [
    path("", board.board, name="board"),
    path("orders/<order_id:order_id>/", board.board_order, name="board_order"),
    path("discrepancies/", discrepancies.discrepancies, name="discrepancies"),
    path("discrepancies/review/", review.review, name="review"),
    path(
        "discrepancies/export/<str:kind>/",
        discrepancies.discrepancies_export,
        name="discrepancies_export",
    ),
    path("discrepancies/<int:pk>/", discrepancies.discrepancy, name="discrepancy"),
    path(
        "discrepancies/<int:pk>/orders/",
        discrepancies.discrepancy_orders,
        name="discrepancy_orders",
    ),
    path(
        "discrepancies/<int:pk>/replays/",
        discrepancies.discrepancy_replays,
        name="discrepancy_replays",
    ),
    path("discrepancies/<int:pk>/replay/", replays.replay_new, name="replay_new"),
    path("replays/<int:pk>/", replays.replay, name="replay"),
    path("launches/", launches.launches, name="launches"),
    path("launches/new/", launch_acts.launch_new, name="launch_new"),
    path("launches/compare/", launches.launches_compare, name="launches_compare"),
    path("launches/<uuid:launch>/", launches.launch, name="launch"),
    path("launches/<uuid:launch>/percent/", launch_acts.launch_percent, name="launch_percent"),
    path("launches/<uuid:launch>/end/", launch_acts.launch_end, name="launch_end"),
    path(
        "launches/<uuid:launch>/stop/<slug:version>/", launch_acts.launch_stop, name="launch_stop"
    ),
    path(
        "launches/<uuid:launch>/decide/<slug:version>/",
        launch_acts.launch_decide,
        name="launch_decide",
    ),
    path("launches/<uuid:launch>/record/", launch_record.launch_record, name="launch_record"),
    path(
        "launches/<uuid:launch>/record/<str:file>/",
        launch_record.launch_record_file,
        name="launch_record_file",
    ),
    path("launches/<uuid:launch>/changes/", board.launch_changes, name="launch_changes"),
    path("launches/<uuid:launch>/series/<str:by>/", board.launch_series, name="launch_series"),
    path(
        "launches/<uuid:launch>/requirements/",
        thresholds.requirements,
        name="requirements",
    ),
    path("launches/<uuid:launch>/ramp/", ramp.ramp_plan, name="ramp"),
    path("launches/<uuid:launch>/guards/", ramp.launch_guards, name="guards"),
    path("launches/<uuid:launch>/evidence/", evidence.evidence, name="evidence"),
    path("coverage/", coverage.coverage, name="coverage"),
    path("how/", board.how, name="how"),
    path("rules/", rules.rules, name="rules"),
    path("rules/new/", rules.rule_new, name="rule_new"),
    path("rules/proposals/", rules.rule_proposals, name="rule_proposals"),
    path("rules/<int:pk>/", rules.rule, name="rule"),
    path("rules/<int:pk>/end/", rules.rule_end, name="rule_end"),
    path("rejudge/", rules.rejudge, name="rejudge"),
    path("rejudgings/<int:pk>/", rules.rejudging_progress, name="rejudging"),
]
