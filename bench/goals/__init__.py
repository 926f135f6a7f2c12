"""The goals of the product's speed, one a module: what is measured, and how."""
