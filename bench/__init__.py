"""Measurements that a person runs: what is claimed of speed, shown on the machine at hand."""
