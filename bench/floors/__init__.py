"""Floors: bare skeletons that do the least that could be called the same work."""
