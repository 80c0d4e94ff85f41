"""What was measured: series, raw events, rollups, findings, and the recorders that wrote them."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("metrics")


@migrations()
def create_series_and_events(db: Database) -> None:
    """Each unit of work is one event of a series.

    Events have no index on time: ids follow it closely enough to trim by, and windows are read from rollups,
    from the evidence (`keep_reason`, a small share) or by correlation id. An index costs 1 us an event.
    """
    db.execute(
        """
        create table series (
            id integer primary key,
            service text not null,
            kind text not null,
            name text not null,
            method text not null,
            outcome text not null,
            first_at_ms integer not null,
            unique (service, kind, name, method, outcome)
        )
        """
    )
    db.execute(
        """
        create table events (
            id integer primary key,
            at_ms integer not null,
            series_id integer not null,
            duration_us integer not null,
            wait_us integer not null,
            status integer not null,
            band integer not null,
            heavy integer not null,
            n_queries integer not null,
            query_us integer not null,
            n_cache_hits integer not null,
            n_cache_misses integer not null,
            response_bytes integer not null,
            correlation_id text not null,
            parent_id text,
            user_hash text,
            role text,
            keep_reason text,
            detail text
        )
        """
    )
    for sql in (
        "create index events_series on events (series_id, at_ms)",
        "create index events_correlation on events (correlation_id)",
        # Holds all that choosing the slowest needs, so that only those that are shown are read.
        """create index events_evidence on events (at_ms, series_id, duration_us, keep_reason)
           where keep_reason is not null""",
    ):
        db.execute(sql)
    db.execute(
        """
        create table event_sql (
            event_id integer not null,
            sql_id text not null,
            n integer not null,
            total_us integer not null,
            max_us integer not null,
            n_on_loop integer not null,
            caller text not null,
            primary key (event_id, sql_id)
        ) without rowid
        """
    )
    db.execute("create table sql_texts (id text primary key, text text not null) without rowid")


@migrations()
def create_rollups(db: Database) -> None:
    """Sums per series and bucket. `tier_ms` is the width of the bucket.

    The rows of a series lie together: a chart reads one series over time, and a row with its histogram is
    large. Rolling up and trimming go by bucket, through the index.

    Everything before a tier's watermark is rolled up; a later event is added to that tier as well. So the
    coarser tier always equals the sum of the finer one, whoever writes and in whatever order.
    """
    db.execute(
        """
        create table rollups (
            tier_ms integer not null,
            bucket_at_ms integer not null,
            series_id integer not null,
            n integer not null,
            n_errors integer not null,
            n_good integer not null,
            n_warning integer not null,
            sum_us integer not null,
            n_queries integer not null,
            query_us integer not null,
            n_cache_hits integer not null,
            n_cache_misses integer not null,
            response_bytes integer not null,
            histogram blob not null,
            primary key (tier_ms, series_id, bucket_at_ms)
        ) without rowid
        """
    )
    db.execute("create index rollups_bucket on rollups (tier_ms, bucket_at_ms)")
    db.execute("create table watermarks (name text primary key, at_ms integer not null)")


@migrations()
def create_findings(db: Database) -> None:
    """A finding is one kind of trouble at one place, however often it was seen."""
    db.execute(
        """
        create table findings (
            id text primary key,
            type text not null,
            service text not null,
            kind text not null,
            name text not null,
            subject text not null,
            first_at_ms integer not null,
            last_at_ms integer not null,
            n integer not null,
            cost_us integer not null,
            example text not null,
            correlation_id text not null,
            state text not null,
            state_at_ms integer not null,
            muted_until_ms integer,
            n_reopened integer not null default 0,
            owner text not null default '',
            note text not null default ''
        )
        """
    )
    db.execute("create index findings_state on findings (state, last_at_ms)")


@migrations()
def create_recorders(db: Database) -> None:
    """A recorder is one process that records; `n_lost` is known after its death, from its counter file."""
    db.execute(
        """
        create table recorders (
            id text primary key,
            service text not null,
            started_at_ms integer not null,
            seen_at_ms integer not null,
            ended_at_ms integer,
            n_stored integer not null default 0,
            n_dropped integer not null default 0,
            n_lost integer not null default 0,
            level integer not null default 2
        )
        """
    )
    db.execute(
        """
        create table recorder_costs (
            bucket_at_ms integer not null,
            recorder_id text not null,
            n integer not null,
            n_dropped integer not null,
            path_us integer not null,
            writer_us integer not null,
            process_us integer not null,
            level integer not null,
            primary key (bucket_at_ms, recorder_id)
        ) without rowid
        """
    )
    db.execute(
        """
        create table deploys (
            id integer primary key,
            at_ms integer not null,
            service text not null,
            version text not null,
            note text not null default '',
            unique (service, version, at_ms)
        )
        """
    )
    db.execute(
        """
        create table apdex_targets (
            pattern text primary key,
            target_ms integer not null,
            changed_at_ms integer not null,
            changed_by text not null
        )
        """
    )
