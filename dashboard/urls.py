"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path

from dashboard import views

urlpatterns = [
    path("", views.board, name="board"),
    path("lanes/", views.board_lanes, name="board_lanes"),
    path("orders/<uuid:uuid>/", views.board_order, name="board_order"),
]
