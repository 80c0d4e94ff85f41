"""Offload: take slow work off the web request, and prove the gain."""

__version__ = "0.1.0"
