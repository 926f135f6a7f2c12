"""The dashboard's admin. Importing it registers its pages: recorded facts (read-only),
discrepancies with the decisions on them, and rules."""

from django.contrib import admin

from dashboard.admin import discrepancies, facts, rules

__all__ = ["discrepancies", "facts", "rules"]

admin.site.site_header = admin.site.site_title = "Dark Kitchen"
admin.site.index_title = "Administration"
