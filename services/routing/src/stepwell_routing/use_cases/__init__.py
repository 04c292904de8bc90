"""What can happen in routing, one function each: the only place that both decides and saves."""
