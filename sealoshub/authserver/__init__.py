"""The token server that the registry sends its clients to."""
