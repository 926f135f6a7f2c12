"""The kitchens that ship: one module a version, each a pure function from an order to a result."""
