"""Finds, sizes and proves profitable loops over any set of pools."""
