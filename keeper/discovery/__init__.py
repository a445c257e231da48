"""Phase 1: finding opportunities."""
