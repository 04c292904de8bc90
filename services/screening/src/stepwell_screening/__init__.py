"""Stepwell screening: standard questionnaires, validated, scored, safety items acted on."""
