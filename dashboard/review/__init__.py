"""Reviews and what they need: lists of discrepancies, rule previews, replays, thresholds."""
