"""The restaurant's template tags and filters."""
