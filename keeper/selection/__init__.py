"""Phase 2: which opportunities are worth a plan."""
