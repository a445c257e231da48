"""Phase 3: from an opportunity to a transaction and its outcome."""
