"""Where both halves are put together: the restaurant's pages and API, and the dashboard's."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from restaurant import api, pages
from restaurant.visitors import limited_logins

urlpatterns = [
    path("", pages.menu, name="menu"),
    path("quote/", pages.quote, name="quote"),
    path("ticket/<uuid:uuid>/", pages.ticket, name="ticket"),
    path("ticket/<uuid:uuid>/state/", pages.ticket_state, name="ticket_state"),
    path("orders", api.orders, name="api_orders"),
    path("orders/items", api.items, name="api_items"),
    path("api/health", api.health, name="api_health"),
    path("api/ready", api.ready, name="api_ready"),
    path("login/", limited_logins(LoginView.as_view(template_name="login.html")), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/login/", limited_logins(admin.site.login)),
    path("admin/", admin.site.urls),
    path("dashboard/", include("dashboard.urls")),
]
