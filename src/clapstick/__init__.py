"""Clapstick: a benchmark and evaluation harness for video-to-sound (Foley) systems."""
