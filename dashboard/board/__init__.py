"""The live board: its frames, how they travel, and their first paint."""
