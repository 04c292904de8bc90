"""What can happen in screening, one function each: the only place that both decides and saves."""
