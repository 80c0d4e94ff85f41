"""Zones: every name of the tz database, nothing else, and their clock changes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import InvalidInput
from engine.lib.cron import zones
from tests.lib import cron_oracle

DAY_S = 86_400


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "Europe/Berln",
        "../etc/passwd",
        "/etc/localtime",
        "right/Europe/Berlin",
        "posix/UTC",
        "localtime",
        "tzdata.zi",
        "UTC\x00",
        "Zürich",
        "x" * 5000,
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(InvalidInput) as caught:
        zones.zone(name)
    assert caught.value.code == "unknown_zone"
    assert len(caught.value.message) < 200


def test_a_near_name_is_suggested():
    with pytest.raises(InvalidInput, match="did you mean Europe/Berlin"):
        zones.zone("europe/berlin")


def test_all_zones_of_the_database_are_known():
    assert len(zones.names()) > 590
    assert "Europe/Berlin" in zones.names()
    assert all(zones.zone(name).key == name for name in zones.names())


def test_version_names_a_release_of_the_database():
    release = zones.version()
    assert release[:2] == "20" and release[4].isalpha()


def test_version_of_a_system_folder(tmp_path):
    (tmp_path / "tzdata.zi").write_text("# version 2031c\n# more\n")
    assert zones._system_version(tmp_path) == "2031c"
    (tmp_path / "+VERSION").write_text("2032a\n")
    assert zones._system_version(tmp_path) == "2032a"
    assert zones._system_version(Path("/nowhere")) == "unknown"


@pytest.mark.parametrize("name", ["Europe/Berlin", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Gaza"])
def test_changes_are_those_of_a_finer_search(name):
    found = [change for year in range(2015, 2019) for change in zones._changes(name, year)]
    assert found == cron_oracle.changes(name, 2015, 2018)


def test_stretches_join_without_gap_and_keep_one_offset():
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    found = list(zones.stretches("Europe/Berlin", start, start + 365 * DAY_S))
    assert [s.offset_s for s in found] == [3600, 7200, 3600]
    assert [s.start_s for s in found[1:]] == [s.end_s for s in found[:-1]]
    assert (found[0].start_s, found[-1].end_s) == (start, start + 365 * DAY_S)
    assert found[1].start_s == datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
