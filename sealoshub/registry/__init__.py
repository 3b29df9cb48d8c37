"""Client side of the OCI distribution protocol."""
