"""The broker client that every process uses."""
