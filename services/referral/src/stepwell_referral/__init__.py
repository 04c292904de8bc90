"""Stepwell referral: the right place, an honest wait, a closed loop."""
