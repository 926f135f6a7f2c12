"""Pure code, without Django or a broker: compares results and applies rules."""
