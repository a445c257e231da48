"""Mission Control, the operator's web page."""
