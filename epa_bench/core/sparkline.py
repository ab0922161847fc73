"""A curve in a line of text."""

from collections.abc import Sequence
from statistics import mean

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """At most `width` blocks from the lowest to the highest value, each the mean of its share of the curve."""
    count = min(width, len(values))
    shares = [values[number * len(values) // count : (number + 1) * len(values) // count] for number in range(count)]
    means = [mean(share) for share in shares]
    if not means:
        return ""
    low, span = min(means), max(means) - min(means)
    if span == 0:
        return _BLOCKS[0] * count
    return "".join(_BLOCKS[min(int((value - low) / span * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in means)
