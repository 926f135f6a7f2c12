"""The contract between site, kitchens and observer: messages, topology, permissions."""
