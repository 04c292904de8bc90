"""The `stepwell` command and what it needs to run the suite on one machine."""
