"""Readers: one module a data set, with a constant ``READER``."""
