"""What is measured, and how: simulations and speed, run by `make`, never by the product."""
