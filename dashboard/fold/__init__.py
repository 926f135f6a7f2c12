"""Computes what a batch of messages changes, before anything is written.

Pure: stored records, a batch and a time go in; new and changed records come out. No database, no
broker.
"""
