"""The live board: its state, its frames, and the sockets that they are sent to."""
