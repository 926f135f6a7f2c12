"""What the observer records: observations, pairs and what they show."""
