"""Webhooks: endpoints people keep, and the delivery of events to them."""

from engine.services.webhooks.endpoints import (
    NewEndpoint,
    change,
    create,
    remove,
    replay,
    replay_failed,
    rotate,
    send_test,
)

__all__ = [
    "NewEndpoint",
    "change",
    "create",
    "remove",
    "replay",
    "replay_failed",
    "rotate",
    "send_test",
]
