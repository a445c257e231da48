"""The vocabulary of the whole system: pure, immutable types without I/O."""
