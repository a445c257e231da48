"""What comes in from outside, as async iterators of domain events."""
