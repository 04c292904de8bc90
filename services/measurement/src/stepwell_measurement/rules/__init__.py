"""The decisions of measurement, each a pure function: whether a change is real, and where a person stands on the way.
They take scores and parameters, and say outcome, reason and rule code."""
