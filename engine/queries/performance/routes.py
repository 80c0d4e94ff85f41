"""Routes beside each other: where the time goes. The same for pages, tasks, calls and statements."""

from difflib import get_close_matches
from typing import Literal

import numpy as np
import pyarrow as pa

from engine.queries.performance import rows
from engine.queries.performance.charts import Chart
from engine.queries.performance.figures import source
from engine.queries.performance.selection import Selection, SeriesRow, series
from engine.queries.performance.wording import KINDS
from engine.records import db

Order = Literal["total", "p95", "queries", "errors", "n", "mean"]
ORDERS: dict[Order, str] = {
    "total": "total_s",
    "p95": "p95",
    "queries": "queries_per_unit",
    "errors": "n_errors",
    "n": "n",
    "mean": "mean",
}
SPARK_POINTS = 24
_COMPARED = 500
"""Names a misspelt one is compared with: 25 ms."""


def slowest(selection: Selection, *, by: Order = "total", limit: int = 20) -> Chart:
    """Return the first `limit` routes by an order, worst first.

    Columns: service, name, method, label, n, n_errors, error_rate, apdex, total_s, share (of all time), mean,
    p50, p95, p99, max (ms), queries_per_unit, query_share, spark (mean ms over the window; null: nothing).
    """
    selection = selection.snapped()
    found = series(selection, each=True)
    routes = list(dict.fromkeys((s.service, s.name, s.method) for s in found))
    number = {route: position for position, route in enumerate(routes)}
    group_of_series = {s.id: number[s.service, s.name, s.method] for s in found}
    read = rows.read(selection, list(group_of_series), tier_ms=selection.total_tier_ms)
    groups = np.array([group_of_series[i] for i in read.series_id.tolist()], dtype=np.int64)
    table = _table(read, groups, routes, _labels(found))
    table = table.filter(pa.array(np.asarray(table["n"]) > 0))
    n_routes = table.num_rows
    table = table.sort_by([(ORDERS[by], "descending"), ("name", "ascending")]).slice(0, limit)
    chosen = [tuple(row.values()) for row in table.select(["service", "name", "method"]).to_pylist()]
    table = table.append_column("spark", _sparks(selection, found, chosen))
    origin = source(selection, int(read.sums["n"].sum()), capped=n_routes > limit, limit=limit)
    return Chart(table, origin, selection.step_ms)


def names(selection: Selection) -> list[tuple[str, str, str]]:
    """Return (service, name, method) of what a selection of a kind could be narrowed to."""
    found = series(selection, each=True)
    return sorted({(s.service, s.name, s.method) for s in found})


def narrowed(selection: Selection, label: str) -> Selection | None:
    """Return the selection of a route by what it is called, None where nothing of that name was recorded.

    It is called as the pages call it, `GET /orders`; its name alone means all its methods.
    """
    method, _, name = label.partition(" ")
    for found in (selection.only(name, method), selection.only(label)):
        if found.name and series(found):
            return found
    return None


def similar(selection: Selection, label: str, *, limit: int = 3) -> list[str]:
    """Return recorded routes that whoever wrote `label` may have meant, else any; none where none is."""
    labels = list(dict.fromkeys(f"{method} {name}".strip() for _, name, method in names(selection)))
    return get_close_matches(label, labels[:_COMPARED], limit) or labels[:limit]


def hint(selection: Selection, label: str) -> str:
    """Say of a route that `narrowed` did not find what was recorded instead."""
    if near := similar(selection, label):
        return f"Nothing of this name was recorded. There are, for example: {', '.join(near)}."
    where = f" for the service {selection.service}" if selection.service else ""
    return f"{KINDS.get(selection.kind, selection.kind)} were not recorded yet{where}."


def services() -> list[str]:
    """Return the names under which anything was recorded."""
    return [
        row["service"] for row in db.metrics().read("select distinct service from series order by service")
    ]


def kinds() -> list[str]:
    """Return the kinds of units that were recorded."""
    return [row["kind"] for row in db.metrics().read("select distinct kind from series order by kind")]


def _table(
    read: rows.Rows,
    groups: np.typing.NDArray[np.int64],
    routes: list[tuple[str, str, str]],
    labels: dict[str, str],
) -> pa.Table:
    n_routes = len(routes)
    stack = read.stack(groups, n_routes)
    n = np.maximum(stack.count, 1)
    sums = {c: read.add_up(c, groups, n_routes) for c in rows.SUMS}
    whole = max(int(stack.sum.sum()), 1)
    return pa.table(
        {
            "service": pa.array([r[0] for r in routes], pa.string()),
            "name": pa.array([r[1] for r in routes], pa.string()),
            "method": pa.array([r[2] for r in routes], pa.string()),
            "label": pa.array([labels.get(r[1], f"{r[2]} {r[1]}".strip()) for r in routes], pa.string()),
            "n": pa.array(stack.count),
            "n_errors": pa.array(sums["n_errors"]),
            "error_rate": pa.array(sums["n_errors"] / n),
            "apdex": pa.array((sums["n_good"] + sums["n_warning"] / 2) / n),
            "total_s": pa.array(stack.sum / 1e6),
            "share": pa.array(stack.sum / whole),
            "mean": pa.array(stack.mean() / 1000, from_pandas=True),
            "p50": pa.array(stack.quantile(0.5) / 1000, from_pandas=True),
            "p95": pa.array(stack.quantile(0.95) / 1000, from_pandas=True),
            "p99": pa.array(stack.quantile(0.99) / 1000, from_pandas=True),
            "max": pa.array(stack.max / 1000),
            "queries_per_unit": pa.array(sums["n_queries"] / n),
            "query_share": pa.array(sums["query_us"] / np.maximum(stack.sum, 1)),
        }
    )


def _sparks(selection: Selection, found: list[SeriesRow], routes: list[tuple[str, str, str]]) -> pa.Array:
    """Return the mean over the window in `SPARK_POINTS` points for each route."""
    number = {route: position for position, route in enumerate(routes)}
    ids = {
        s.id: number[s.service, s.name, s.method] for s in found if (s.service, s.name, s.method) in number
    }
    n = np.zeros((len(routes), SPARK_POINTS), dtype=np.int64)
    sum_us = np.zeros_like(n)
    for row in rows.means(selection, list(ids), SPARK_POINTS):
        cell = ids[row["series_id"]], min(max(0, row["point"]), SPARK_POINTS - 1)
        n[cell] += row["n"]
        sum_us[cell] += row["sum_us"]
    with np.errstate(invalid="ignore"):
        mean = np.where(n > 0, sum_us / 1000 / np.maximum(n, 1), np.nan)
    cells = pa.array(mean.ravel(), from_pandas=True)
    offsets = np.arange(len(routes) + 1, dtype=np.int32) * SPARK_POINTS
    return pa.ListArray.from_arrays(pa.array(offsets), cells)


def _labels(found: list[SeriesRow]) -> dict[str, str]:
    """Return what stands for names people cannot read: the text of statements."""
    if not any(s.kind == "query" for s in found):
        return {}
    return {row["id"]: row["text"] for row in db.metrics().read("select id, text from sql_texts")}
