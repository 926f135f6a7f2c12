"""The restaurant: takes orders, posts them once, and answers the customer. Knows no dashboard."""
