"""sealoshub: an image hub that trusts Kubernetes."""

from __future__ import annotations

__version__ = "0.1.0"
