"""Phase 4: money that is accounted for."""
