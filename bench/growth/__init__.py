"""Grows a database to any number of observed orders: a period by the product, then copies."""
