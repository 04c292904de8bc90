"""PostgreSQL: the connection pool, the tenant lock, and the batched functions of the hot path."""
