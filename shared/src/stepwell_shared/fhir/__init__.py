"""The FHIR R4 (4.0.1) engine: registry, validation, storage, search and the REST interactions.

It knows no service, no auth and no events: callers hand those in as plain functions and effect rows.
"""
