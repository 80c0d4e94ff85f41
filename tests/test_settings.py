from engine import settings
from engine.settings import Settings


def test_workers_beat_at_least_four_times_in_a_lease():
    assert Settings(lease_s=45, heartbeat_s=5).beat_s == 5
    assert Settings(lease_s=3, heartbeat_s=5).beat_s == 0.75
    assert Settings(lease_s=3, heartbeat_s=0.5).beat_s == 0.5


def test_a_heartbeat_too_rare_for_the_lease_is_said():
    found = settings.check(Settings(lease_s=40, heartbeat_s=11, busy_timeout_s=1, public_url="http://x"))
    assert [(f.id, f.level) for f in found] == [("S003", "warning")]
    assert found[0].message.endswith("workers beat every 10 s")
