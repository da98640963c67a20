"""Runtimes: where a system outside this process runs. ``run`` is the one way in."""
