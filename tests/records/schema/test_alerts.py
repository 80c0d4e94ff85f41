import sqlite3
from contextlib import closing
from dataclasses import replace

from sqlite_utils import Database

from engine.records import db
from engine.records.schema.alerts import migrations
from engine.services.alerts import events
from tests.services.alerts.kit import SLOW, for_telling


def test_the_end_of_alerts_open_at_an_update_is_told_to_whoever_heard_of_them(data_dir):
    """The version before told of an opening at once, unless the rule was muted."""
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "metrics.db")) as connection:
        migrations.apply(Database(connection), stop_before="create_alert_events")
        for name, muted_until_ms in (("loud", None), ("loud_again", 999), ("muted", 2_000)):
            connection.execute(
                """insert into alert_rules (id, title, measure, threshold, window_s, to_open, to_clear,
                       least_n, changed_at_ms, changed_by, muted_until_ms)
                   values (?, '', 'p95', 1, 60, 1, 1, 1, 1, '', ?)""",
                (name, muted_until_ms),
            )
            connection.execute(
                """insert into alerts (rule_id, title, opened_at_ms, first_value, worst_value, message)
                   values (?, '', 1000, 1, 1, '')""",
                (name,),
            )
        connection.commit()
    with db.metrics().write() as tx:
        for name in ("loud", "loud_again", "muted"):
            assert events.cleared(tx, replace(SLOW, id=name), "good", "well", 3_000)
    resolved = [data["rule_id"] for event, data in for_telling() if event == "alert.resolved"]
    assert resolved == ["loud", "loud_again"]
