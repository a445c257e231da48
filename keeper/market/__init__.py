"""The market as it is now: exact pool maths, and the book that keeps every pool's state."""
