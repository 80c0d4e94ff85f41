"""A log-histogram: distributions that add exactly, with a bound on the error of every percentile.

Bin `i` holds values in (GAMMA ** (i - 1), GAMMA ** i], so the middle of a bin is within `RELATIVE_ERROR`
of each value in it (DDSketch: Masson, Rim, Lee 2019, https://arxiv.org/abs/1908.10693). The boundaries
are powers of 2 ** (1/32): scale 5 of OpenTelemetry's exponential histograms, so an export loses nothing.
Values are whole numbers >= 0 (microseconds, bytes); therefore sums are exact and addition is associative
whatever the order.
"""

from collections.abc import Iterable, Sequence
from math import ceil, log2

STEPS = 32
GAMMA: float = 2 ** (1 / STEPS)
RELATIVE_ERROR: float = (GAMMA - 1) / (GAMMA + 1)
"""1.083 %: |estimate - exact| <= RELATIVE_ERROR * exact."""
ZERO_BIN = -1
"""The bin of the value 0; every other whole number has a bin >= 0."""
VERSION = 1
_HEADER = 5


class Histogram:
    """Counts per bin, and exact count, sum, smallest and largest value."""

    __slots__ = ("bins", "count", "max", "min", "sum")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.count = 0
        self.sum = 0
        self.min = 0
        self.max = 0

    @classmethod
    def of(cls, values: Iterable[int]) -> "Histogram":
        """Make a histogram of whole numbers >= 0."""
        histogram = cls()
        histogram.add_all(list(values))
        return histogram

    def add(self, value: int, count: int = 1) -> None:
        """Count a value `count` times; what is below 0 (a clock that stepped back) counts as 0."""
        value = max(value, 0)
        index = bin_of(value)
        self.bins[index] = self.bins.get(index, 0) + count
        self.min = min(self.min, value) if self.count else value
        self.max = max(self.max, value)
        self.count += count
        self.sum += value * count

    def add_all(self, values: Sequence[int]) -> None:
        """Count several values, three times as fast as one by one."""
        if not values:
            return
        if min(values) < 0:
            values = [max(value, 0) for value in values]
        bins = self.bins
        for value in values:
            index = ceil(log2(value) * STEPS) if value else ZERO_BIN
            bins[index] = bins.get(index, 0) + 1
        low = min(values)
        self.min = min(self.min, low) if self.count else low
        self.max = max(self.max, max(values))
        self.count += len(values)
        self.sum += sum(values)

    def merge(self, other: "Histogram") -> "Histogram":
        """Add the counts of another histogram to this one, exactly; return this one."""
        if not other.count:
            return self
        bins = self.bins
        for index, count in other.bins.items():
            bins[index] = bins.get(index, 0) + count
        self.min = min(self.min, other.min) if self.count else other.min
        self.max = max(self.max, other.max)
        self.count += other.count
        self.sum += other.sum
        return self

    @property
    def mean(self) -> float:
        """The exact mean; 0 when empty."""
        return self.sum / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """Estimate the `q` quantile (0 to 1), interpolated between ranks as numpy does; 0 when empty."""
        if not self.count:
            return 0.0
        rank = q * (self.count - 1)
        low = int(rank)
        lower = self._value_at(low)
        upper = self._value_at(low + 1) if rank > low else lower
        return lower + (upper - lower) * (rank - low)

    def share_up_to(self, value: int) -> float:
        """Return the share of values in bins up to that of `value` (0 to 1); 0 when empty."""
        last = bin_of(value)
        return sum(c for i, c in self.bins.items() if i <= last) / self.count if self.count else 0.0

    def to_bytes(self) -> bytes:
        """Pack as varints: version, count, sum, min, max, then (zig-zag step to next bin, count) pairs."""
        out = bytearray()
        for number in (VERSION, self.count, self.sum, self.min, self.max):
            _put(out, number)
        previous = 0
        for index in sorted(self.bins):
            step, count = index - previous, self.bins[index]
            step = step << 1 if step >= 0 else (-step << 1) - 1
            if step < 0x80 and count < 0x80:  # nearly always: one byte each
                out.append(step)
                out.append(count)
            else:
                _put(out, step)
                _put(out, count)
            previous = index
        return bytes(out)

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Histogram":
        """Unpack `to_bytes`; raise ValueError for another version."""
        if not blob or blob[0] != VERSION:
            raise ValueError("not a histogram of this version")
        head, rest = _split(blob)
        histogram = cls()
        _, histogram.count, histogram.sum, histogram.min, histogram.max = head[:_HEADER]
        if not histogram.count:
            return histogram
        index = -((head[5] + 1) >> 1) if head[5] & 1 else head[5] >> 1
        bins = histogram.bins
        bins[index] = head[6]
        numbers = _numbers(rest) if rest and max(rest) > 0x7F else rest
        for step, count in zip(numbers[::2], numbers[1::2], strict=True):
            index += step >> 1  # bins ascend: only the first step may go down
            bins[index] = count
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, min={self.min}, max={self.max})"

    def _value_at(self, rank: int) -> float:
        """Estimate the value at a 0-based rank; the two ends are known exactly."""
        if rank <= 0:
            return self.min
        if rank >= self.count - 1:
            return self.max
        seen = 0
        for index in sorted(self.bins):
            seen += self.bins[index]
            if seen > rank:
                return min(max(middle_of(index), self.min), self.max)
        return self.max


def bin_of(value: int) -> int:
    """Return the bin of a whole number >= 0."""
    return ceil(log2(value) * STEPS) if value > 0 else ZERO_BIN


def middle_of(index: int) -> float:
    """Return the value with the smallest relative distance to everything in the bin."""
    if index == ZERO_BIN:
        return 0.0
    upper: float = GAMMA**index
    return 2 * upper / (1 + GAMMA)


def _put(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _split(blob: bytes) -> tuple[list[int], bytes]:
    """Return the numbers of the head and of the first pair, which are large, and the bytes after them."""
    end = seen = 0
    while seen < _HEADER + 2 and end < len(blob):
        seen += blob[end] < 0x80
        end += 1
    return _numbers(blob[:end]), blob[end:]


def _numbers(blob: bytes) -> list[int]:
    numbers = []
    number = shift = 0
    for byte in blob:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            numbers.append(number)
            number = shift = 0
    return numbers
