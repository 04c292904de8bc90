"""What every Stepwell service shares: the FHIR R4 engine, events, auth and the command line."""
