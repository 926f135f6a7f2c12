"""Launches as people run them: lists, acts, ramp plans, guards, decisions, timeline, record."""
