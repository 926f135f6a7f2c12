"""A kitchen: takes orders from its queue, cooks them, and says what it made of each."""
