from engine.services.monitor.buffer import FOLDER, Ledger, dead_ledgers


def test_only_the_ledgers_of_the_dead_are_found(tmp_path):
    living, dead = Ledger(tmp_path), Ledger(tmp_path)
    dead.go_on_from(4)
    dead.add()
    dead.close(remove=False)
    (tmp_path / FOLDER / "1-gone").symlink_to(tmp_path / "removed while the folder was listed")
    ((path, n),) = dead_ledgers(tmp_path)
    assert (path.name, n) == (dead.id, 5)
    living.close(remove=True)
