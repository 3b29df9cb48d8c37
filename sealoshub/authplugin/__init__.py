"""The plugin contract of the token server, and its implementations."""
