"""The clinical decisions of routing: pure, without clock or IO; every number comes from a policy."""
