"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path

from dashboard.pages import board_views as views
from dashboard.pages import (
    coverage_views,
    discrepancy_views,
    how_views,
    replay_views,
    requirement_views,
    review_views,
    rule_views,
)
from dashboard.pages.launches import launch_changes

urlpatterns = [
    path("", views.board, name="board"),
    path("lanes/", views.board_lanes, name="board_lanes"),
    path("orders/<uuid:uuid>/", views.board_order, name="board_order"),
    path("discrepancies/", discrepancy_views.discrepancies, name="discrepancies"),
    path("discrepancies/review/", review_views.review, name="review"),
    path(
        "discrepancies/export/<str:kind>/",
        discrepancy_views.discrepancies_export,
        name="discrepancies_export",
    ),
    path("discrepancies/<int:pk>/", discrepancy_views.discrepancy, name="discrepancy"),
    path(
        "discrepancies/<int:pk>/orders/",
        discrepancy_views.discrepancy_orders,
        name="discrepancy_orders",
    ),
    path(
        "discrepancies/<int:pk>/replays/",
        discrepancy_views.discrepancy_replays,
        name="discrepancy_replays",
    ),
    path("discrepancies/<int:pk>/replay/", replay_views.replay_new, name="replay_new"),
    path("replays/<int:pk>/", replay_views.replay, name="replay"),
    path("launches/<uuid:launch>/changes/", launch_changes, name="launch_changes"),
    path(
        "launches/<uuid:launch>/requirements/",
        requirement_views.requirements,
        name="requirements",
    ),
    path("coverage/", coverage_views.coverage, name="coverage"),
    path("how/", how_views.how, name="how"),
    path("rules/", rule_views.rules, name="rules"),
    path("rules/new/", rule_views.rule_new, name="rule_new"),
    path("rules/proposals/", rule_views.rule_proposals, name="rule_proposals"),
    path("rules/<int:pk>/", rule_views.rule, name="rule"),
    path("rules/<int:pk>/end/", rule_views.rule_end, name="rule_end"),
    path("rejudge/", rule_views.rejudge, name="rejudge"),
    path("rejudgings/<int:pk>/", rule_views.rejudging_progress, name="rejudging"),
]
