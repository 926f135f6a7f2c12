"""Django's SQLite, whose writers take turns: the ENGINE of an SQLite file."""
