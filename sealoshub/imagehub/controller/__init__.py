"""Keeps the cluster true to the ImageHub resources."""

from sealoshub.imagehub.controller.manager import run

__all__ = ["run"]
