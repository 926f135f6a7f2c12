"""The dashboard's admin: facts to read, discrepancies to decide on, rules to make and to end."""

from dashboard.admin import discrepancies, facts, requirements, rules

__all__ = ["discrepancies", "facts", "requirements", "rules"]
