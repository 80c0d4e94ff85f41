import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lib import histograms
from engine.lib.histogram import Histogram

groups_of_values = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2**50), max_size=30)), max_size=12
)


@given(groups_of_values)
def test_a_stack_is_the_merge_of_its_histograms(parts):
    stacked = histograms.stack(
        [Histogram.of(raw).to_bytes() for _, raw in parts], [group for group, _ in parts], 4
    )
    for group in range(4):
        expected = Histogram()
        for number, raw in parts:
            if number == group:
                expected.merge(Histogram.of(raw))
        assert stacked.histogram(group) == expected
        for q in (0, 0.5, 0.95, 0.99, 1):
            ours = stacked.quantile(q)[group]
            assert ours == pytest.approx(expected.quantile(q)) if expected.count else np.isnan(ours)
    everything = Histogram.of([value for _, raw in parts for value in raw])
    assert stacked.total().histogram() == everything


def test_a_year_of_hours_has_the_percentiles_of_its_raw_values():
    random = np.random.default_rng(3)
    hours = [random.lognormal(np.log(30_000), 0.8, 20).astype(int) for _ in range(8_760)]
    merged = histograms.merge([Histogram.of(hour.tolist()).to_bytes() for hour in hours])
    raw = np.concatenate(hours)
    assert (merged.count, merged.sum) == (len(raw), raw.sum())
    for q in (0.5, 0.95, 0.99):
        assert merged.quantile(q) == pytest.approx(np.quantile(raw, q), rel=0.011)


def test_means_are_exact_and_an_empty_group_has_none():
    stacked = histograms.stack([Histogram.of([1, 2, 6]).to_bytes()], [1], 2)
    assert stacked.mean()[1] == 3.0
    assert np.isnan(stacked.mean()[0])


def test_nothing_stacks_to_nothing():
    assert histograms.merge([]) == Histogram()
    assert histograms.stack([], [], 3).count.tolist() == [0, 0, 0]


def test_another_version_is_refused():
    with pytest.raises(ValueError, match="version"):
        histograms.merge([b"\x02\x00\x00\x00\x00"])


def test_counts_and_bins_of_any_size_stack():
    few, many = Histogram.of([3, 2**50]), Histogram()
    for value, count in ((0, 127), (1, 128), (90_000, 2**14), (2**30, 2**28 + 1)):
        many.add(value, count)
    stacked = histograms.stack([few.to_bytes(), many.to_bytes(), Histogram().to_bytes()], [0, 1, 1], 2)
    assert stacked.histogram(0) == few
    assert stacked.histogram(1) == many


@pytest.mark.parametrize("after", [[], [Histogram.of([1, 5]).to_bytes()]])
@pytest.mark.parametrize(
    "rest", [b"", b"\x01", b"\x01\x02\x02\x01", b"\x01\x02\x02\x01\x01\x00", b"\x01\x02\x82"]
)
def test_a_histogram_cut_within_a_pair_is_refused(rest, after):
    with pytest.raises(ValueError, match="not a whole histogram"):
        histograms.merge([rest, *after])


@pytest.mark.parametrize("values", [[], [0], [0, 1, 5, 5, 90_000]])
def test_one_histogram_is_a_stack_of_one_group(values):
    one = histograms.single(Histogram.of(values))
    assert one.histogram() == Histogram.of(values)
    assert one.count.tolist() == [len(values)]
