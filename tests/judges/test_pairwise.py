"""Pairwise verdicts: the arithmetic of the weighted judge against real GPT-4 log-probs."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.judges.asking import UnparsedError
from epa_bench.judges.pairwise import label_in_text, seeded_swap, weighted_preference

logprobs = st.floats(max_value=0, allow_nan=False)
tops = st.lists(st.tuples(st.sampled_from(["m", "M", " m", "Both", ""]), logprobs), max_size=20)


def test_worked_number() -> None:
    """P(m) = 3/4 and P(M) = 1/8: 2 - 6/7, and an eighth is elsewhere."""
    top = [("m", math.log(3 / 4)), ("M", math.log(1 / 8)), ("The", math.log(1 / 16))]
    found = weighted_preference(top, swapped=False)
    assert found.preference == pytest.approx(2 - 6 / 7, abs=1e-15)
    assert found.outside == pytest.approx(1 / 8, abs=1e-15)
    assert weighted_preference(top, swapped=True).preference == pytest.approx(1 + 6 / 7, abs=1e-15)


@pytest.mark.parametrize(("token", "preference"), [("m", 1.0), ("M", 2.0)])
def test_a_label_that_is_not_among_them_has_probability_0(token: str, preference: float) -> None:
    assert weighted_preference([(token, -3.0), ("The", -0.1)], swapped=False).preference == preference


@pytest.mark.parametrize("top", [[], [("The", -0.1), ("Both", -3.0)], [("m", -9999.0), ("M", -9999.0)]])
def test_without_either_label_there_is_no_preference(top: list[tuple[str, float]]) -> None:
    found = weighted_preference(top, swapped=False)
    assert (found.preference, found.outside) == (None, 1.0)


@given(tops)
def test_swapping_mirrors_and_nothing_leaves_the_scale(top: list[tuple[str, float]]) -> None:
    straight, swapped = weighted_preference(top, swapped=False), weighted_preference(top, swapped=True)
    assert 0 <= straight.outside <= 1
    if straight.preference is None:
        assert swapped.preference is None
    else:
        assert swapped.preference == 3 - straight.preference
        assert 1 <= straight.preference <= 2


def _preference(top: list[list[Any]], instruction: str) -> float:
    found = weighted_preference([(token, logprob) for token, logprob in top], seeded_swap(instruction)).preference
    assert found is not None
    return found


def test_real_log_probs_give_the_stored_preferences(shared_data: Path) -> None:
    """Upstream stores ten digits."""
    folder = shared_data / "alpaca_eval" / "results"
    count = 0
    for path in sorted(folder.glob("*/weighted_alpaca_eval_gpt4_turbo/annotations.json")):
        for row in json.loads(path.read_bytes()):
            if row["output_1"] == row["output_2"]:
                assert row["preference"] == 1.5
                continue
            content = row["raw_completion"]["logprobs"]["content"]
            top = [[entry["token"], entry["logprob"]] for entry in content[0]["top_logprobs"]]
            assert _preference(top, row["instruction"]) == pytest.approx(row["preference"], abs=1e-10)
            count += 1
    assert count == 805 + 801 + 800 + 802


def test_real_compact_log_probs_give_the_stored_preferences(shared_data: Path) -> None:
    folder = shared_data / "alpaca_eval"
    instructions = [row["instruction"] for row in json.loads((folder / "alpaca_eval_gpt4_baseline.json").read_bytes())]
    count = 0
    for path in sorted((folder / "compact").glob("*.jsonl.gz")):
        for row in map(json.loads, gzip.decompress(path.read_bytes()).splitlines()):
            if row["top"] is not None:
                assert _preference(row["top"], instructions[row["i"]]) == pytest.approx(row["p"], abs=1e-10)
                count += 1
    assert count == 4811


@pytest.mark.parametrize(
    ("text", "preference"),
    [("m", 1), ("M", 2), (" m.\n", 1), ('"M"', 2), ("Best: **m**", 1), ("m, I'm sure: m", 1), ("I\u2019m for M", 2)],
)
def test_a_label_in_text(text: str, preference: float) -> None:
    assert label_in_text(text, ("m", "M")) == preference


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m or M", "both labels"),
        ("", "neither label"),
        ("I'm not able to choose.", "neither label"),
        ("Je pr\u00e9f\u00e8re la premi\u00e8re r\u00e9ponse.", "neither label"),
        ("model_m", "neither label"),
        ("\u7b2c\u4e00\u4e2a", "neither label"),
    ],
)
def test_both_labels_or_neither_are_no_verdict(text: str, reason: str) -> None:
    with pytest.raises(UnparsedError, match=reason):
        label_in_text(text, ("m", "M"))


def test_patterns_in_place_of_labels() -> None:
    """As alpaca_eval's claude and lmsys configurations have them."""
    patterns = (r"Output \(a\) is better", r"Output \(b\) is better")
    assert label_in_text("Between Output (a) and Output (b): Output (b) is better.", ("a", "b"), patterns) == 2
    with pytest.raises(UnparsedError, match="neither label"):
        label_in_text("a", ("a", "b"), patterns)


@given(st.text() | st.text("mM '.\n"))
def test_exchanging_the_labels_in_a_text_exchanges_the_verdict(text: str) -> None:
    def verdict(said: str) -> float | str:
        try:
            return label_in_text(said, ("m", "M"))
        except UnparsedError as error:
            return str(error)

    exchanged = text.translate({ord("m"): "M", ord("M"): "m"})
    straight = verdict(text)
    assert verdict(exchanged) == (3 - straight if isinstance(straight, float) else straight)
