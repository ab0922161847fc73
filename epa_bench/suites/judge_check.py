"""How far a judge can be trusted: its verdicts on pairs that people compared, each shown in both orders."""

from collections import Counter
from collections.abc import Sequence

from epa_bench.core.records import Finite, Record
from epa_bench.judges.asking import error_kind
from epa_bench.judges.rating import MatchItem
from epa_bench.judges.records import GameVerdict, MatchVerdict, Question
from epa_bench.judges.template import PromptTemplate
from epa_bench.suites.labelled_pairs import LabelledPair, length_baseline
from epa_bench.suites.means import Mean
from epa_bench.suites.mt_bench import JUDGE_DECODING


class JudgeCheck(Record):
    """One judge on one set of pairs. Means are over the pairs with a verdict in both orders; pairs of one instruction
    are one sample to their intervals."""

    n: int
    errors: dict[str, int]
    """Kind of reason -> pairs without a verdict in both orders."""

    agreement: Mean | None
    """Games that go to the answer people prefer; a tie is half of one. Guessing gives 1/2."""

    agreement_in_both: Mean | None
    """Pairs where both orders name the answer people prefer."""

    consistency: Mean | None
    """Pairs where both orders name the same answer, or both a tie."""

    first_wins: Mean | None
    """Games that go to the answer shown first; a tie is half of one. Without an effect of the place it is 1/2."""

    ties: Finite | None
    """Share of games."""

    length_bias: Mean | None
    """How much more often the judge prefers the longer answer than people do, over pairs of different length."""

    length_baseline: Finite
    """Agreement of a judge that takes the longer answer, over all pairs."""


def pair_items(name: str, pairs: Sequence[LabelledPair], template: PromptTemplate) -> list[MatchItem]:
    """Both orders of every pair for a judge with MT-Bench's prompt for pairs. Output 1 is the baseline."""
    items = []
    for row, pair in enumerate(pairs, start=1):
        shown = [
            {"question": pair.input, "answer_a": a, "answer_b": b}
            for a, b in ((pair.output_1, pair.output_2), (pair.output_2, pair.output_1))
        ]
        straight, swapped = (
            Question(template=template.digest, messages=template.fill(texts), decoding=JUDGE_DECODING)
            for texts in shown
        )
        items.append(MatchItem(f"{name}/{row}", 0, straight, swapped))
    return items


def check_judge(pairs: Sequence[LabelledPair], verdicts: Sequence[MatchVerdict]) -> JudgeCheck:
    """`verdicts`: one a pair, in their order, of `pair_items`."""
    judged = [(pair, verdict.games) for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.error is None]
    prompts = [pair.input for pair, _ in judged]
    agreement = [_both(games, pair.label) for pair, games in judged]
    unequal = [(pair, pair.longer, games) for pair, games in judged if pair.longer is not None]
    return JudgeCheck(
        n=len(judged),
        errors=dict(Counter(error_kind(verdict.error) for verdict in verdicts if verdict.error is not None)),
        agreement=Mean.of_shares(agreement, prompts),
        agreement_in_both=Mean.of_shares([float(value == 1) for value in agreement], prompts),
        consistency=Mean.of_shares([float(games[0].winner == games[1].winner) for _, games in judged], prompts),
        first_wins=Mean.of_shares([(_share(games[0], 1) + _share(games[1], 2)) / 2 for _, games in judged], prompts),
        ties=sum(game.winner == "tie" for _, games in judged for game in games) / (2 * len(judged)) if judged else None,
        length_bias=Mean.of(
            [_both(games, longer) - (pair.label == longer) for pair, longer, games in unequal],
            [pair.input for pair, _, _ in unequal],
        ),
        length_baseline=length_baseline(pairs),
    )


def _both(games: tuple[GameVerdict, GameVerdict], side: int) -> float:
    return (_share(games[0], side) + _share(games[1], side)) / 2


def _share(game: GameVerdict, side: int) -> float:
    """1 where the game goes to output `side`, 1/2 for a tie."""
    if game.winner == "tie":
        return 0.5
    return float((game.winner == "baseline") == (side == 1))
