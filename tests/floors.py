"""The house rules of `engine` and `pages`, read from the source: floors, doors, neighbours, pages.

`violations` takes the source files as a mapping of path to text, so that a test can plant a file that was
never written. Imports are read wherever they stand: at the top, inside functions, under `TYPE_CHECKING`, and
as string literals given to `import_module`.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Sources = Mapping[str, str]
"""Source text by path relative to the top of the repository."""

FLOORS: tuple[tuple[str, int], ...] = (
    # The longest matching prefix decides; a module that matches none has no floor, which is a violation.
    ("engine.errors", 0),
    ("engine.clock", 0),
    ("engine.settings", 0),
    ("engine.words", 0),
    ("engine.log", 0),
    ("engine.lib", 1),
    ("engine.records", 2),
    ("engine.queries", 3),
    ("engine.registry", 4),
    ("engine.lifecycle", 4),
    ("engine.services", 5),
    ("engine.queue", 6),
    ("engine.tasks", 6),
    ("engine.web", 7),
    ("engine.ui", 7),
    ("engine.web.app", 8),
    ("engine.cli", 8),
    ("engine.__main__", 8),
    ("engine.worker", 8),
    ("pages", 8),
    ("streamlit_app", 8),
)
GROUND_PACKAGES = frozenset(sys.stdlib_module_names) | {
    "pydantic",
    "pydantic_settings",
    "pydantic_core",
    "structlog",
}

FOLDERS_WITHOUT_NEIGHBOURS = ("engine.tasks", "engine.services", "engine.queries", "engine.services.reports")
BOOKKEEPING = (
    "engine.records",
    "engine.registry",
    "engine.lifecycle",
    "engine.queue",
    "engine.tasks",
    "engine.web.middleware",
)

DOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The outside thing, and the modules that may import it.
    ("httpx", ("engine.lib.http",)),
    ("httpcore", ("engine.lib.http",)),
    ("requests", ("engine.lib.http",)),
    ("urllib3", ("engine.lib.http",)),
    ("aiohttp", ("engine.lib.http",)),
    ("urllib.request", ("engine.lib.http",)),
    (
        "http.client",
        ("engine.lib.http", "engine.lib.supervise"),
    ),  # supervise asks its own children on loopback
    ("streamlit", ("engine.ui", "pages", "streamlit_app")),
    ("sqlite3", ("engine.records.db", "engine.lib.sqltrace")),
    ("sqlite_utils", ("engine.records.lean", "engine.records.db", "engine.records.schema")),
    ("huey", ("engine.queue", "engine.worker")),
)

_CLOCK = re.compile(r"(^|\.)(time\.time(_ns)?|(datetime|date|Timestamp)\.(now|utcnow|today))$")
_ENVIRONMENT = re.compile(r"^os\.(environb?|getenvb?|putenv|unsetenv)\b")
_SQL = re.compile(
    r"\s*(select\s.*\sfrom\s|insert\s(or\s\w+\s)?into\s|replace\sinto\s|update\s\w+\sset\s|delete\sfrom\s"
    r"|create\s(unique\s)?(table|index)\s|pragma\s|begin\simmediate)",
    re.DOTALL,
)
PAGE_LINES = 120


@dataclass(frozen=True, eq=False)
class Module:
    """One parsed source file."""

    path: str
    name: str
    package: bool
    tree: ast.Module
    lines: int


def read_sources(root: Path) -> dict[str, str]:
    """Read the Python files under the rules of the house."""
    paths = [*root.glob("engine/**/*.py"), *root.glob("pages/**/*.py"), *root.glob("streamlit_app.py")]
    return {str(path.relative_to(root)): path.read_text() for path in sorted(paths)}


def violations(sources: Sources) -> list[str]:
    """Return one line per broken rule, each beginning with the rule's name and the file."""
    modules = {module.name: module for module in map(_parse, *zip(*sources.items(), strict=True))}
    imports = {
        name: sorted({_known(t, modules) for t in _imports(module)}) for name, module in modules.items()
    }
    found = list(_cycles({name: [t for t in targets if t in modules] for name, targets in imports.items()}))
    for name, module in modules.items():
        for target in imports[name]:
            found += [f"{rule}: {module.path} imports {target}" for rule in _broken_by_import(name, target)]
        found += [f"{rule}: {module.path}" for rule in _broken_by_content(module)]
    return sorted(found)


@lru_cache(maxsize=2000)
def _parse(path: str, text: str) -> Module:
    parts = path.removesuffix(".py").split("/")
    package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if package else parts)
    return Module(path, name, package, ast.parse(text, path), text.count("\n"))


# Which module imports which


@lru_cache(maxsize=2000)
def _imports(module: Module) -> tuple[str, ...]:
    return tuple(_read_imports(module))


def _read_imports(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _dotted(node.func).split(".")[-1] in (
            "import_module",
            "__import__",
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + (1 if module.package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def _known(target: str, modules: Mapping[str, Module]) -> str:
    """Turn `engine.clock.now` into `engine.clock`; leave what is not ours as it is."""
    name = target
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or target


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


# Rules about one import


def _broken_by_import(name: str, target: str) -> Iterator[str]:
    ours = _under(target, "engine", "pages", "streamlit_app")
    if ours and target != "engine" and _floor(name) < _floor(target):
        yield "floors"
    if _floor(name) == 0 and name != "engine" and not ours and target.split(".")[0] not in GROUND_PACKAGES:
        yield "ground floor"
    if _neighbours(name, target):
        yield "neighbours"
    if _under(name, *BOOKKEEPING) and _under(target, "engine.queries"):
        yield "bookkeeping"
    if _under(name, "pages") and _under(target, "engine.records.db"):
        yield "pages"
    for outside, allowed in DOORS:
        if _under(target, outside) and not _under(name, *allowed):
            yield f"door {outside}"
    if _CLOCK.search(target) and name != "engine.clock":
        yield "door clock"
    if _ENVIRONMENT.match(target) and name != "engine.settings":
        yield "door environment"


def _under(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _floor(name: str) -> int:
    """Return the floor of one of our modules, -1 for the bare package and for what has none."""
    matching = [(len(prefix), floor) for prefix, floor in FLOORS if _under(name, prefix)]
    return max(matching)[1] if matching else -1


def _neighbours(name: str, target: str) -> bool:
    for folder in FOLDERS_WITHOUT_NEIGHBOURS:
        if not (_under(name, folder) and _under(target, folder)) or folder in (name, target):
            continue
        mine, theirs = (module.removeprefix(folder + ".").split(".") for module in (name, target))
        if folder == "engine.services.reports" and 1 in (len(mine), len(theirs)):
            continue  # a file beside the report folders is what they share, not a neighbour
        if mine[0] != theirs[0]:
            return True
    return False


def _cycles(edges: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield each import cycle once (depth-first; an edge back onto the path closes one)."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        stack = [(start, iter(edges[start]))] if start not in done else []
        while stack:
            name, targets = stack[-1]
            if len(path) < len(stack):
                path.append(name)
            step = next((t for t in targets if t not in done), None)
            if step is None:
                done.add(name)
                stack.pop()
                path.pop()
            elif step in path:
                yield "cycle: " + " -> ".join([*path[path.index(step) :], step])
            else:
                stack.append((step, iter(edges[step])))


# Rules about the content of one file


@lru_cache(maxsize=2000)
def _broken_by_content(module: Module) -> tuple[str, ...]:
    return tuple(_read_content(module))


def _read_content(module: Module) -> Iterator[str]:
    if _floor(module.name) < 0 and module.name != "engine":
        yield "no floor"
    if {"utils", "util"} & set(module.name.split(".")):
        yield "utils"
    if _under(module.name, "pages") and module.lines > PAGE_LINES:
        yield "page length"
    if not _under(module.name, "engine.records", "engine.queries") and any(
        map(_is_sql, _strings(module.tree))
    ):
        yield "sql"
    names = {_dotted(node) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    if module.name != "engine.clock" and any(map(_CLOCK.search, names)):
        yield "door clock"
    if module.name != "engine.settings" and any(map(_ENVIRONMENT.match, names)):
        yield "door environment"


def _is_sql(text: str) -> bool:
    """Tell SQL from prose: keywords all in capitals or all in small letters, in a statement's order."""
    return bool(_SQL.match(text)) or (text.lstrip()[:3].isupper() and bool(_SQL.match(text.lower())))


def _strings(tree: ast.Module) -> Iterator[str]:
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings and bare strings
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
