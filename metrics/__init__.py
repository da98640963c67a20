"""Metrics: one file a metric, pure functions on arrays. Nothing here reads files or knows of runs."""
