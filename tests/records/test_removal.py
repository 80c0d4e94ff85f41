from engine.records import db, removal
from engine.services import monitor


def test_a_removed_service_takes_its_own_statements_along(data_dir):
    for service, statements in (
        ("demo", ("select 1 as own", "select 1 as shared")),
        ("shop", ("select 2 as shared",)),
    ):
        monitor.name_process(service)
        with monitor.measure("task", "report"):
            for sql in statements:
                db.main().read(sql)
    monitor.flush()
    with db.metrics().write() as tx:
        assert removal.remove_service(tx, "demo") > 0
    texts = {row["text"] for row in db.metrics().read("select text from sql_texts")}
    assert "select ? as own" not in texts
    assert "select ? as shared" in texts
    left = db.metrics().read("select distinct service from series")
    assert [row["service"] for row in left] == ["shop"]
