"""The dashboard's admin. Importing it registers its pages: recorded facts (read-only),
discrepancies with the decisions on them, and rules."""

from dashboard.admin import discrepancies, facts, rules

__all__ = ["discrepancies", "facts", "rules"]
