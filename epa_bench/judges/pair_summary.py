"""What stands beside a win rate: failures, agreement of the orders, effect of the place, mass outside the labels."""

from collections import Counter
from collections.abc import Iterable, Sequence

from epa_bench.core.records import Finite, Record
from epa_bench.judges.asking import error_kind
from epa_bench.judges.records import OrderVerdict, PairwiseVerdict

_LARGE_OUTSIDE = 0.1
"""AlpacaEval's GPT-4 judge has more mass than this outside its labels in 0.08 % of 44,945 verdicts."""


class PairwiseSummary(Record):
    """Counts and means over verdicts. A mean of nothing is None."""

    verdicts: int
    errors: dict[str, int]
    """Kind of reason -> verdicts that failed for it."""

    identical: int
    """Draws without a call."""

    both_orders: int
    """Verdicts in both orders, on which `agreement` rests."""

    agreement: Finite | None
    """Share of them in which both orders prefer the same answer."""

    first_wins: Finite | None
    """Mean probability, over all calls, that the answer shown first wins. Its distance from a half is the effect of
    the place exactly where both orders were judged, and in expectation where the order was drawn."""

    outside: Finite | None
    """Mean probability mass outside the labels."""

    outside_large: int
    """Calls with more than a tenth of it."""

    intrusions: dict[str, int]
    """What answers hold that speaks to the judge -> answers that hold it."""


def summarise_pairs(verdicts: Sequence[PairwiseVerdict]) -> PairwiseSummary:
    """The summary of some verdicts of one judge and protocol."""
    calls = [order for verdict in verdicts for order in verdict.orders]
    pairs = [verdict.orders for verdict in verdicts if verdict.error is None and len(verdict.orders) == 2]
    outside = [call.outside for call in calls if call.outside is not None]
    return PairwiseSummary(
        verdicts=sum(verdict.error is None for verdict in verdicts),
        errors=dict(Counter(error_kind(verdict.error) for verdict in verdicts if verdict.error is not None)),
        identical=sum(not verdict.orders for verdict in verdicts),
        both_orders=len(pairs),
        agreement=_mean(_side(first) == _side(second) for first, second in pairs),
        first_wins=_mean(_first_wins(call) for call in calls if call.preference is not None),
        outside=_mean(outside),
        outside_large=sum(mass > _LARGE_OUTSIDE for mass in outside),
        intrusions=dict(Counter(name for verdict in verdicts for name in verdict.intrusions)),
    )


def _side(call: OrderVerdict) -> int:
    assert call.preference is not None
    return (call.preference > 1.5) - (call.preference < 1.5)


def _first_wins(call: OrderVerdict) -> float:
    assert call.preference is not None
    return call.preference - 1 if call.swapped else 2 - call.preference


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
