"""May the candidate be promoted: evidence that holds at every look, and its words."""
