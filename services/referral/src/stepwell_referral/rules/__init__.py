"""The decisions of referral, each a pure function: which move a Task may make, which place fits, how long the wait is
and what helps in the meantime. They take evidence, parameters and time, and say outcome, reason and rule code."""
