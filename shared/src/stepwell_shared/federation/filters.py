"""Which events go to a partner: for the feed of referrals the service itself says so, all else is the engine's."""

from stepwell_shared.events.progress import PendingEvent, Subscription
from stepwell_shared.events.sender import Matches
from stepwell_shared.federation.courier import may_feed_partner
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.partners import Partners


def partner_filters(others: Matches, partners: Partners, exchange: Exchange) -> Matches:
    """Matches events against the subscriptions that feed partners, and leaves all other subscriptions to `others`."""

    async def matches(subscription: Subscription, event: PendingEvent) -> bool:
        if may_feed_partner(subscription):
            fed = await partners.fed_by(subscription.tenant, subscription.subscription_id)
            if fed is not None and fed[1].is_sent:
                return await exchange.concerns(fed[0], event)
        return await others(subscription, event)

    return matches
