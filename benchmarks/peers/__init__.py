"""Other systems' searches, each run in an environment and a process of its own."""
