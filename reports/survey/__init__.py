"""Listening tests: designs, blinded packets, collection, and the statistics of the answers."""
