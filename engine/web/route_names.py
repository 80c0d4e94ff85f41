"""The name of the route that answered a request: its template, with those of what it is mounted in.

Routers of Starlette leave in the scope the `route` they chose and the outermost `router`; FastAPI leaves the
former out for routes that are none of its own. Names must stay few: never a path that was asked for.
"""

import re
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

UNMATCHED = "_unmatched"
GROUPS = ("/_stcore/", "/static/", "/media/", "/component/")
"""Paths of a Streamlit server that no route template tells apart."""


def route_name(scope: Scope, root_path: str, resolve: Callable[[Scope], str | None]) -> str:
    """Name the route of a request that was answered; `root_path` is what the server said before."""
    return _template(scope, root_path) or resolve(scope) or UNMATCHED


def group(scope: Scope) -> str | None:
    """Name a path of a Streamlit server."""
    path: str = scope["path"]
    return next((f"{start}*" for start in GROUPS if path.startswith(start)), None)


def _template(scope: Scope, root_path: str) -> str | None:
    """Return the template of the route that was chosen.

    FastAPI keeps the route of an included router without the prefix it was included under; the full path is
    in the context it leaves in the scope.
    """
    root = scope.get("root_path", "")[len(root_path) :]
    route = scope.get("route") or _unmarked(scope, root)
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(route, "path", None)
    if path is None and not (root and "endpoint" in scope):
        return None
    mounted = _mounts(scope, route, root) if root and scope.get("path_params") else root
    if path is None or hasattr(route, "routes"):
        return f"{mounted}/*"  # a mount that answered by itself: files, or another application without routes
    return f"{mounted}{path}"


def _routes(router: Any) -> Iterable[Any]:
    return getattr(router, "routes", None) or ()


def _unmarked(scope: Scope, root: str) -> Any:
    """Return the route that holds the endpoint that was chosen, where no router has marked one."""
    endpoint = scope.get("endpoint")
    if endpoint is None or root:
        return None
    return next((r for r in _routes(scope.get("router")) if getattr(r, "endpoint", None) is endpoint), None)


def _mounts(scope: Scope, route: Any, root: str) -> str:
    """Return the templates of the mounts that a request went through, `/*` where they cannot be told.

    A mount leaves only the path it matched, with the values of its parameters in it.
    """
    path = root
    routes, template = _routes(scope.get("router")), ""
    while root:
        found = next(((mount, match) for mount in routes if (match := _match(mount, root))), None)
        if found is None:
            own = set(scope["path_params"]) <= set(getattr(route, "param_convertors", ()))
            return path if own else f"{template}/*"
        template += found[0].path
        rest = found[1]["path"].rstrip("/")
        root, routes = rest and f"/{rest}", _routes(found[0])
    return template


def _match(mount: Any, root: str) -> re.Match[str] | None:
    """Match the beginning of a path with a mount; None also for whatever is no mount."""
    if not (hasattr(mount, "routes") and hasattr(mount, "path_regex")):
        return None
    match: re.Match[str] | None = mount.path_regex.match(f"{root}/")
    return match
