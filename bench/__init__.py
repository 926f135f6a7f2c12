"""What is measured, and how: simulations and load, run by `make`, never by the product."""
