"""What can happen in measurement, one function each: the only place that both decides and saves."""
