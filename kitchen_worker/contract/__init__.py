"""What site, kitchens and observer agree on: messages, topology, and the way to the broker."""
