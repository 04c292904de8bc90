"""What may be shared with whom and for which purpose: the rule, its default policy, and what honours it.

Consents belong to screening; every service decides with its own copy of them, so that it does with every peer down.
"""
