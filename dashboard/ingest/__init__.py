"""The observer: reads the stream of orders and events, folds it, and writes the changes."""
