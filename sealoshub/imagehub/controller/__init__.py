"""Keeps the cluster true to the ImageHub resources."""
