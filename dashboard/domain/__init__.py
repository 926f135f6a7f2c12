"""The pure part of the dashboard: no Django, no broker, tested by tables."""
