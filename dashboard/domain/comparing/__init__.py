"""Two results held against each other: differences, rules, judgements."""
