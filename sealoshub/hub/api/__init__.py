"""The slice of the Kubernetes API that a hub needs, on SQLite."""
