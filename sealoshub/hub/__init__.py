"""A hub on one machine: registry, token server, controller and API under one supervisor."""
