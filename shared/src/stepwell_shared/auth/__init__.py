"""Who calls, for which tenant, and what that caller may do: tokens, scopes, clients and the audit rows.

Nothing is served without a token except what the world must see before it has one: capabilities, discovery and health.
"""
