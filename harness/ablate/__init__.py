"""Ablations: sweeps over settings, each point an ordinary run, resumed and shared by content."""
