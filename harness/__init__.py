"""The harness: plan, generate, standardise, score; the executors, the caches and the command line."""
