"""How a call can fail without an answer."""

from engine.errors import OffloadError


class CallFailed(OffloadError):
    """The call failed without an answer."""

    code = "call_failed"

    def __init__(
        self, code: str, message: str, *, transient: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.transient = transient
        """Whether the same call may succeed later."""
        self.sent = False
        """Whether a byte of the request may have left this machine; set by `send`."""


def not_allowed() -> CallFailed:
    """Return the refusal of an address; details would turn us into a port scanner, so they go to the log."""
    return CallFailed("address_not_allowed", "address not allowed")


def timed_out() -> CallFailed:
    """Return the end of a call whose deadline has passed."""
    return CallFailed("timeout", "The call took longer than its time-out.", transient=True)


def cancelled() -> CallFailed:
    """Return the end of a call somebody stopped."""
    return CallFailed("cancelled", "The call was stopped.")


def connection_lost() -> CallFailed:
    """Return the end of a call whose connection broke."""
    return CallFailed(
        "connection_lost", "The connection broke before the answer was complete.", transient=True
    )
