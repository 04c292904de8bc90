"""What can happen in referral, one function each: the only place that both decides and saves."""
