import numpy as np
import pytest

from engine.errors import InvalidInput
from engine.lib.histogram import Histogram
from engine.queries import performance
from engine.queries.performance import wording

MINUTE, HOUR = 60_000, 3_600_000


def lognormal(median, n, seed, sigma=0.5):
    return np.random.default_rng(seed).lognormal(np.log(median), sigma, n)


def test_a_fix_is_told_in_a_sentence_with_its_numbers(record):
    slow, fast = lognormal(4_000, 400, 1), lognormal(60, 500, 2)
    record(*slow, ago_ms=90 * MINUTE)
    record(*fast, ago_ms=10 * MINUTE)
    window = performance.last("6h")
    found = performance.around(window, window.end_ms - HOUR)
    assert (found.n_before, found.n_after, found.direction) == (400, 500, "fell")
    p95 = found.change("p95")
    assert p95.before_ms == pytest.approx(np.quantile(slow, 0.95), rel=0.012)
    assert p95.after_ms == pytest.approx(np.quantile(fast, 0.95), rel=0.012)
    exact = np.quantile(fast, 0.95) / np.quantile(slow, 0.95) - 1
    assert p95.low < exact < p95.high < -0.9
    assert found.verdict.startswith(f"p95 fell from {wording.duration(p95.before_ms)} to ")
    assert found.verdict.endswith("n = 400 and 500.")


def test_two_routes_are_compared_in_one_window(record):
    record(*lognormal(3_000, 150, 1), name="/invoice")
    record(*lognormal(20, 150, 2), name="/invoice/handed-over")
    found = performance.two_routes(
        performance.last("1h"), ("/invoice", "GET"), ("/invoice/handed-over", "GET")
    )
    assert (found.label_before, found.direction) == ("GET /invoice", "fell")


def test_noise_is_not_called_a_change(record):
    record(*lognormal(100, 300, 1), ago_ms=90 * MINUTE)
    record(*lognormal(100, 300, 2), ago_ms=10 * MINUTE)
    window = performance.last("6h")
    found = performance.around(window, window.end_ms - HOUR)
    assert found.direction == "same"
    assert "did not change beyond noise" in found.verdict


@pytest.mark.parametrize(
    ("n", "compared"), [(10, set()), (40, {"mean", "p50"}), (120, {"mean", "p50", "p95"})]
)
def test_too_few_values_are_said_to_be_too_few(record, n, compared):
    record(*lognormal(4_000, n, 1), ago_ms=90 * MINUTE)
    record(*lognormal(60, n, 2), ago_ms=10 * MINUTE)
    window = performance.last("6h")
    found = performance.around(window, window.end_ms - HOUR)
    assert {c.statistic for c in found.changes if c.enough} == compared
    assert found.verdict.startswith("Too few to tell: n = 10 and 10") == (not compared)
    assert (found.direction == "unknown") == (not compared)


def test_an_empty_side_is_unknown(record):
    record(100)
    window = performance.last("6h")
    found = performance.around(window, window.end_ms - HOUR)
    assert (found.changes, found.direction, found.errors_before) == ((), "unknown", None)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Coverage of the 95 % interval of the median over repeated samples of equal distributions."""
    covered = 0
    for seed in range(60):
        before, after = (
            Histogram.of((lognormal(30_000, 200, 2 * seed + k)).astype(int).tolist()) for k in (0, 1)
        )
        median = next(c for c in performance.changes_between(before, after) if c.statistic == "p50")
        covered += median.low <= 0 <= median.high
    assert covered >= 51  # expected 57; fewer than 51 of 60 has a probability below 1 %


def test_the_same_data_give_the_same_verdict():
    before, after = Histogram.of([100] * 50 + [200] * 50), Histogram.of([150] * 100)
    assert performance.changes_between(before, after) == performance.changes_between(before, after)


def test_a_moment_within_a_minute_cuts_it_in_two(record):
    record(*[100] * 40, ago_ms=30_500)
    record(*[10] * 50, ago_ms=30_000)
    window = performance.last("15m")
    found = performance.around(window, window.end_ms - 30_000)
    assert (found.n_before, found.n_after) == (40, 50)
    assert (found.change("p50").before_ms, found.change("p50").after_ms) == (100, 10)
    shorter = performance.around(
        performance.Selection(window.end_ms - 30_700, window.end_ms), window.end_ms - 30_000
    )
    assert (shorter.n_before, shorter.n_after) == (40, 50)


def test_the_charts_show_exactly_what_the_statistics_counted(record):
    """A moment within a minute: a chart of whole minutes would show the slow ones on both sides."""
    record(*[100] * 40, ago_ms=30_500)
    record(*[10] * 50, ago_ms=30_000)
    window = performance.last("15m")
    found = performance.around(window, window.end_ms - 30_000)
    for chart, n, ms in ((found.before, 40, 100), (found.after, 50, 10)):
        (band,) = chart.table.to_pylist()
        assert (band["n"], band["share"], chart.source.n) == (n, 1, n)
        assert band["low"] < ms <= band["high"] == pytest.approx(band["low"] * 2**0.25)


def test_a_moment_outside_the_window_is_refused(now):
    window = performance.last("1h")
    with pytest.raises(InvalidInput, match="outside"):
        performance.around(window, window.start_ms)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.84, "840 µs"),
        (84, "84 ms"),
        (8.4, "8.4 ms"),
        (6_200, "6.2 s"),
        (61_000, "61 s"),
        (200_000, "3 min 20 s"),
        (180_000, "3 min"),
        (999.6, "1000 ms"),
    ],
)
def test_durations_in_words(ms, text):
    assert wording.duration(ms) == text


def test_changes_carry_their_sign():
    assert wording.percent(-0.986) == "-98.6 %"
    assert wording.interval(-0.989, 0.1) == "-98.9 to +10.0"
