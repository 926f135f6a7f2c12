"""Launches as people run them: lists, acts with their effects, decisions, timeline, comparison."""
