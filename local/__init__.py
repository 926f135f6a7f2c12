"""The private broker and database of a developer's machine, and what `make run` starts."""
