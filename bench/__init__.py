"""Measurements: speed and memory beside floors, a long soak, and simulations of the verdict."""
