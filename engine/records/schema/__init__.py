"""The tables. One module per subject, each a set of migrations, applied in the order of `FILES`."""

from collections.abc import Mapping

from sqlite_utils.migrations import Migrations

from engine.records.schema import (
    access,
    alerts,
    calls,
    files,
    metrics,
    responses,
    schedules,
    tasks,
    webhooks,
)

MigrationSets = tuple[Migrations, ...]

MAIN: MigrationSets = (
    tasks.migrations,
    access.migrations,
    files.migrations,
    schedules.migrations,
    calls.migrations,
    webhooks.migrations,
)
METRICS: MigrationSets = (metrics.migrations, alerts.migrations)
CACHE: MigrationSets = (responses.migrations,)

FILES: Mapping[str, MigrationSets] = {"offload.db": MAIN, "metrics.db": METRICS, "cache.db": CACHE}
