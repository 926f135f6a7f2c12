"""Programs that are started beside the product: floors, load, and kitchens that sleep."""
