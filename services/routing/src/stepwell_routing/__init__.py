"""Stepwell routing: explainable tier assignments by published policy."""
