"""Exact integer maths of each venue, one file a venue."""
