"""What a person decides on, and what serves the decision: lists, trials of rules, replays."""
