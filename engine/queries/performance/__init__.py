"""Performance: where the time goes, since when. Percentiles come from stored distributions.

    window = performance.last("24h", service="offload")
    performance.overview(window)       # figures and their change against the period before
    performance.bands(window)          # percentiles over time, a pyarrow table in `.table`
    performance.traffic(window)        # good, warning, critical over time
    performance.heat_map(window)       # latency over time
    performance.distribution(window)   # these four also take what `over_time` read, once for all
    performance.slowest(window, by="total")
    performance.evidence(window)       # single slow and failed requests
    performance.trace(correlation_id)  # one request, its queries, operations, tasks and their attempts
    performance.cost(window)           # what the monitoring costs

Each result carries a `Source`: window, n, which rollups, whether it was capped, the bound of the percentiles.
"""

from engine.queries.performance.charts import (
    Chart,
    OverTime,
    bands,
    deploys,
    distribution,
    heat_map,
    over_time,
    traffic,
)
from engine.queries.performance.comparison import (
    Change,
    Comparison,
    around,
    changes_between,
    compare,
    least_n,
    two_routes,
)
from engine.queries.performance.costs import Cost, cost
from engine.queries.performance.events import (
    Bar,
    Event,
    Evidence,
    Statement,
    Trace,
    by_correlation,
    event,
    evidence,
    trace,
)
from engine.queries.performance.figures import Figures, Kpi, Overview, figures, overview
from engine.queries.performance.hours import since_ever, statistics
from engine.queries.performance.regression import Regression, regressions
from engine.queries.performance.routes import (
    ORDERS,
    Order,
    hint,
    kinds,
    names,
    narrowed,
    services,
    similar,
    slowest,
)
from engine.queries.performance.selection import PERIODS, Selection, Source, between, last

__all__ = [
    "ORDERS",
    "PERIODS",
    "Bar",
    "Change",
    "Chart",
    "Comparison",
    "Cost",
    "Event",
    "Evidence",
    "Figures",
    "Kpi",
    "Order",
    "OverTime",
    "Overview",
    "Regression",
    "Selection",
    "Source",
    "Statement",
    "Trace",
    "around",
    "bands",
    "between",
    "by_correlation",
    "changes_between",
    "compare",
    "cost",
    "deploys",
    "distribution",
    "event",
    "evidence",
    "figures",
    "heat_map",
    "hint",
    "kinds",
    "last",
    "least_n",
    "names",
    "narrowed",
    "over_time",
    "overview",
    "regressions",
    "services",
    "similar",
    "since_ever",
    "slowest",
    "statistics",
    "trace",
    "traffic",
    "two_routes",
]
