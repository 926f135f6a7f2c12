"""What the site, the kitchens and the observer agree on: messages, topology, and the way to the broker."""
