from engine.records import db, recorders


def test_a_killed_recorder_tells_what_it_lost_once(data_dir):
    with db.metrics().write() as tx:
        recorders.register(tx, "1-a", "shop", 1_000)
        recorders.report(tx, "1-a", at_ms=2_000, n_stored=90, n_dropped=4, level=2)
        assert recorders.end(tx, "1-a", at_ms=9_000, n_recorded=100) == 6
        assert recorders.end(tx, "1-a", at_ms=9_500, n_recorded=100) == 0
        assert recorders.end(tx, "never entered", at_ms=9_500, n_recorded=7) == 7
        assert recorders.end(tx, "never entered", at_ms=9_600, n_recorded=7) == 0
        assert recorders.end(tx, "never used", at_ms=9_500, n_recorded=0) == 0
    assert db.metrics().value("select n_lost from recorders where id = '1-a'") == 6


def test_costs_add_up_within_a_minute(data_dir):
    cost = {"n": 10, "n_dropped": 1, "path_us": 50, "writer_us": 70, "process_us": 900, "level": 2}
    with db.metrics().write() as tx:
        recorders.add_cost(tx, "1-a", minute_ms=60_000, **cost)
        recorders.add_cost(tx, "1-a", minute_ms=60_000, **cost | {"level": 1})
    (row,) = db.metrics().read(
        "select n, n_dropped, path_us, writer_us, process_us, level from recorder_costs"
    )
    assert tuple(row) == (20, 2, 100, 140, 1_800, 1)
    with db.metrics().write() as tx:
        recorders.trim(tx, 60_001)
    assert db.metrics().value("select count(*) from recorder_costs") == 0


def test_one_caller_has_the_turn(data_dir):
    with db.metrics().write() as tx:
        turns = [recorders.take_turn(tx, at_ms, 5_000) for at_ms in (10_000, 12_000, 15_000, 15_000)]
    assert turns == [True, False, True, False]


def test_a_clock_set_back_does_not_stop_the_turns(data_dir):
    with db.metrics().write() as tx:
        assert recorders.take_turn(tx, 10**13, 5_000)
        assert recorders.take_turn(tx, 10**12, 5_000)


def test_the_longest_pattern_is_the_first(data_dir):
    with db.metrics().write() as tx:
        for pattern, target in (("*", 500), ("/api/*", 100), ("/api/reports/*", 900), ("/x", 1)):
            recorders.set_target(tx, pattern, target, at_ms=1, by="ann")
        recorders.set_target(tx, "/x", 2, at_ms=1, by="ann")
        assert recorders.remove_target(tx, "*")
    assert recorders.targets(db.metrics()) == [("/api/reports/*", 900), ("/api/*", 100), ("/x", 2)]


def test_the_salt_is_chosen_once(data_dir):
    with db.metrics().write() as tx:
        assert [recorders.salt(tx, candidate) for candidate in (7, 8)] == [7, 7]


def test_a_deploy_is_marked_once(data_dir):
    with db.metrics().write() as tx:
        for _ in range(2):
            recorders.mark_deploy(tx, at_ms=1_000, service="shop", version="1.2")
    assert db.metrics().value("select count(*) from deploys") == 1
