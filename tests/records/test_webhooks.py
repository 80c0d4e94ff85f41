from engine.records import db, webhooks
from engine.records.webhooks import Target


def deliver(tx, name, urls):
    """Write an event with a delivery to each URL of one host; return their ids."""
    targets = [Target(url, None, "ann", url, "host") for url in urls]
    ids = [f"{name}-{number}" for number, _ in enumerate(urls)]
    webhooks.write_deliveries(
        tx, targets, message_id=name, event="e", body="", owner="ann", task_id=None, ids=ids, now_ms=1
    )
    return ids


def test_how_fast_a_host_was_is_known_however_many_wait(data_dir):
    """A burst of events is younger than the last attempt; a slow host must not look like a new one."""
    with db.main().write() as tx:
        slow, fast = deliver(tx, "first", ["/slow", "/fast"])
        webhooks.end_delivery(tx, slow, "waiting", now_ms=1, duration_ms=9_000, failed=True)
        webhooks.end_delivery(tx, fast, "delivered", now_ms=1, duration_ms=20, failed=False)
        deliver(tx, "burst", [f"/{number}" for number in range(1_001)])
        found = [webhooks.last_duration_ms(tx, "host", url) for url in ("/slow", "/fast", "/7", None)]
        assert found == [9_000, 20, None, 20]
        assert webhooks.last_duration_ms(tx, "another") is None


def test_how_fast_a_host_was_is_read_by_an_index(data_dir):
    plan = db.main().read(
        """explain query plan select seq, url, last_ms from webhook_deliveries
           where host = :host and last_ms is not null order by seq desc limit 9""",
        host="host",
    )
    assert [row["detail"] for row in plan] == [
        "SEARCH webhook_deliveries USING INDEX webhook_deliveries_tried (host=?)"
    ]
