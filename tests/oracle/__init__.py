"""A recorded run of 20,000 orders through the real product: every number must stay as it is."""
