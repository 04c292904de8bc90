"""Stepwell measurement: scores, trajectories and reliable change."""
