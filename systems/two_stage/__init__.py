"""RMS-conditioned two-stage systems: stage 1 predicts the RMS envelope, stage 2 makes sound that follows it."""
