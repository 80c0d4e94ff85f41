import math

import ddsketch
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lib.histogram import GAMMA, RELATIVE_ERROR, Histogram, bin_of, middle_of

values = st.lists(st.integers(0, 10**12), max_size=200)
some_values = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)
quantiles = st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])


def test_growth_is_a_32nd_power_of_two():
    assert math.isclose(GAMMA**32, 2)
    assert RELATIVE_ERROR < 0.011


def test_powers_of_two_are_the_upper_end_of_their_bin():
    assert [bin_of(2**k) for k in range(50)] == [32 * k for k in range(50)]


@given(st.integers(1, 2**60))
def test_middle_of_the_bin_is_within_the_bound(value):
    assert abs(middle_of(bin_of(value)) - value) <= value * RELATIVE_ERROR * 1.0001


@given(some_values, quantiles)
def test_quantile_is_within_the_bound_of_numpy(raw, q):
    exact = float(np.quantile(np.array(raw, dtype=float), q))
    assert Histogram.of(raw).quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001, abs=1e-9)


def test_realistic_latencies_stay_within_one_point_one_percent():
    raw = np.random.default_rng(7).lognormal(np.log(30_000), 1.0, 100_000).astype(int)
    histogram = Histogram.of(raw.tolist())
    for q in (0.5, 0.9, 0.95, 0.99, 0.999):
        assert histogram.quantile(q) == pytest.approx(np.quantile(raw, q), rel=0.011)


@given(some_values.filter(lambda raw: max(raw) > 0))
def test_bins_agree_with_ddsketch(raw):
    oracle = ddsketch.DDSketch(RELATIVE_ERROR)
    for value in raw:
        oracle.add(value)
    ours = Histogram.of(raw)
    for rank in range(len(raw)):
        q = rank / (len(raw) - 1) if len(raw) > 1 else 0.0
        theirs = oracle.get_quantile_value(q)
        # Both are within the bound of the same raw value, except where float rounding moves the rank by one.
        exact = sorted(raw)[int(q * (len(raw) - 1))]
        assert theirs == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001, abs=1e-9)
        assert ours.quantile(q) == pytest.approx(np.quantile(raw, q), rel=RELATIVE_ERROR * 1.001, abs=1e-6)
    assert ours.count == oracle.count
    assert ours.sum == oracle.sum


@given(values, values, values)
def test_merge_is_associative_and_free_of_order(a, b, c):
    left = Histogram.of(a).merge(Histogram.of(b)).merge(Histogram.of(c))
    right = Histogram.of(c).merge(Histogram.of(b).merge(Histogram.of(a)))
    assert left == right == Histogram.of([*b, *c, *a])


@given(values)
def test_bytes_lose_nothing(raw):
    histogram = Histogram.of(raw)
    back = Histogram.from_bytes(histogram.to_bytes())
    assert back == histogram
    assert (back.count, back.sum) == (len(raw), sum(raw))
    assert (back.min, back.max) == ((min(raw), max(raw)) if raw else (0, 0))


@given(values, st.integers(0, 10**12))
def test_share_up_to_counts_whole_bins(raw, bound):
    share = Histogram.of(raw).share_up_to(bound)
    exact = sum(v <= bound for v in raw)
    reachable = sum(v <= bound * GAMMA + 1 for v in raw)
    assert not raw or exact <= round(share * len(raw)) <= reachable


@given(st.lists(st.integers(-5, 10**12)), st.lists(st.integers(-5, 10**12)))
def test_counting_several_is_counting_each(first, second):
    at_once, one_by_one = Histogram.of(first), Histogram()
    at_once.add_all(second)
    for value in [*first, *second]:
        one_by_one.add(value)
    assert at_once == one_by_one


def test_negative_values_count_as_zero():
    assert Histogram.of([-5, 0]).bins == {-1: 2}


def test_empty_histogram_answers_zero():
    assert (Histogram().quantile(0.95), Histogram().mean, Histogram().share_up_to(1)) == (0.0, 0.0, 0.0)


def test_another_version_is_refused():
    with pytest.raises(ValueError, match="version"):
        Histogram.from_bytes(b"\x07")


def test_sixty_latencies_take_about_a_hundred_bytes():
    raw = np.random.default_rng(1).lognormal(np.log(30_000), 0.5, 60).astype(int)
    assert len(Histogram.of(raw.tolist()).to_bytes()) < 150
