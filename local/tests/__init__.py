"""Tests of the private broker and database, and of what `make run` is made of."""
