"""Embedders: one network a file, loaded from its official checkpoint."""
