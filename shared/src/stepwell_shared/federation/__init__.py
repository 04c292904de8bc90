"""Partner organisations: referrals go out to them as transaction Bundles, their status comes back as notifications.

Both ways use the outbox, leases, numbers, backoff and parking of `events`; what is here knows who a partner is, how to
speak to it over a bad link, and whom to believe.
"""
