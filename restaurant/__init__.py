"""The restaurant: takes orders, publishes each once, answers the customer. Doesn't know the
dashboard."""
