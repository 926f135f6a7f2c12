"""The pages: their views, forms and contexts."""
