"""The checks that every plan has to pass before it may be sent."""
