"""The demo, for real and briefly: a watched shop, the work it hands over, and no trace afterwards."""

import json
import sqlite3


def counts(data_dir):
    main = sqlite3.connect(data_dir / "offload.db")
    metrics = sqlite3.connect(data_dir / "metrics.db")
    cache = sqlite3.connect(data_dir / "cache.db")
    tables = {
        main: ("tasks", "attempts", "calls", "call_counts", "artifacts", "uploads", "users", "tokens"),
        metrics: ("series", "events", "event_sql", "rollups", "findings", "deploys", "recorders"),
        cache: ("responses",),
    }
    found = {
        table: database.execute(f"select count(*) from {table}").fetchone()[0]
        for database, names in tables.items()
        for table in names
    }
    for database in tables:
        database.close()
    return found


def test_the_demo_measures_a_shop_and_leaves_nothing_behind_when_removed(new_house):
    house = new_house()
    process = house.spawn("-m", "engine", "demo", "--minutes", "0.3", "--format", "json")
    assert process.wait(150) == 0, house.log_tail()
    printed = [line for line in house.output().splitlines() if line.startswith("{")]
    told = json.loads(printed[-1])
    assert [item["title"] for item in told["items"]][:3] == [
        "Invoice as PDF",
        "Supplier's feed",
        "Next deliveries",
    ]
    assert all(item["n_before"] > 0 and item["n_after"] > 0 for item in told["items"])
    full = counts(house.data_dir)
    assert full["events"] > 50
    assert full["tasks"] > 5
    assert full["deploys"] == 1
    metrics = sqlite3.connect(house.data_dir / "metrics.db")
    services = {row[0] for row in metrics.execute("select distinct service from series")}
    found = {row[0] for row in metrics.execute("select type from findings where service = 'shop'")}
    failed = metrics.execute("select count(*) from events where keep_reason = 'failed'").fetchone()[0]
    metrics.close()
    assert services == {"shop", "offload-demo"}
    assert {"repeated_query", "render_in_request", "call_in_request"} <= found
    assert failed == 0

    removal = house.spawn("-m", "engine", "demo", "--remove")
    assert removal.wait(30) == 0, house.log_tail()
    left = counts(house.data_dir)
    assert left == dict.fromkeys(left, 0)
    files = [
        path
        for folder in ("artifacts", "uploads", "recorders")
        for path in (house.data_dir / folder).glob("*")
    ]
    assert files == []
