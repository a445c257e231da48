"""Measurements of the keeper's own speed, beside other ways to do the same work on the same inputs."""
