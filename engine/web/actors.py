"""Who asks, for routes: `actor: Actor = Depends(signed_in)`, or `Depends(at_least(Role.OPS))`.

The guard has found out already; these are `async` because FastAPI sends plain functions to a thread.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request

from engine.errors import Forbidden, Unauthorized
from engine.words import Actor, Role


async def anybody(request: Request) -> Actor | None:
    """Return who asks, or None where the address is public."""
    actor: Actor | None = getattr(request.state, "actor", None)
    return actor


async def signed_in(request: Request) -> Actor:
    """Return who asks; raise Unauthorized without a session or token."""
    actor = await anybody(request)
    if actor is None:
        raise Unauthorized
    return actor


def at_least(role: Role) -> Callable[[Request], Awaitable[Actor]]:
    """Return a dependency that raises Forbidden below a role."""

    async def allowed(request: Request) -> Actor:
        actor = await signed_in(request)
        if not actor.role.includes(role):
            raise Forbidden(f"This needs the role {role}.")
        return actor

    return allowed
