"""One file a subject; each has a ``router``."""
