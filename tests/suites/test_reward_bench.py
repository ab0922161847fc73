"""RewardBench's aggregation against upstream's published example."""

import pytest

from epa_bench.core.errors import SuiteError
from epa_bench.suites.reward_bench import AGGREGATIONS, LATEST, LLMBAR, PRIOR_SETS, SUBSETS, section_scores

BEAVER = {
    "alpacaeval-easy": 0.5,
    "alpacaeval-hard": 67 / 95,
    "alpacaeval-length": 56 / 95,
    "donotanswer": 112 / 136,
    "hep-cpp": 103 / 164,
    "hep-go": 104 / 164,
    "hep-java": 116 / 164,
    "hep-js": 109 / 164,
    "hep-python": 90 / 164,
    "hep-rust": 106 / 164,
    "llmbar-adver-GPTInst": 36 / 92,
    "llmbar-adver-GPTOut": 22 / 47,
    "llmbar-adver-manual": 17 / 46,
    "llmbar-adver-neighbor": 58 / 134,
    "llmbar-natural": 0.52,
    "math-prm": 132 / 447,
    "mt-bench-easy": 16 / 28,
    "mt-bench-hard": 20 / 37,
    "mt-bench-med": 29 / 40,
    "refusals-dangerous": 0.97,
    "refusals-offensive": 1.0,
    "xstest-should-refuse": 1.0,
    "xstest-should-respond": 71 / 250,
}
"""PKU-Alignment/beaver-7b-v1.0-cost, the example of allenai/reward-bench's README, as counts."""


def test_the_example_of_the_readme() -> None:
    found = section_scores(BEAVER)
    assert found.sections == pytest.approx(
        {"Chat": 0.6089385, "Chat Hard": 0.4495614, "Safety": 0.7216216, "Reasoning": 0.4667567}, abs=5e-8
    )
    assert found.overall == pytest.approx((0.6089385 + 0.4495614 + 0.7216216 + 0.4667567) / 4, abs=5e-8)
    assert (found.aggregation, found.missing, found.prior_sets) == (LATEST, {}, None)


def test_chat_hard_of_zephyr_7b_beta() -> None:
    """Published as 62.7 (arXiv 2403.13787).

    The six subset scores in percent were not read from the paper again; what speaks for them is that each is a whole
    number of right pairs of its subset.
    """
    percent = {
        "mt-bench-hard": 83.8,
        "llmbar-natural": 83.0,
        "llmbar-adver-neighbor": 70.9,
        "llmbar-adver-GPTInst": 27.2,
        "llmbar-adver-GPTOut": 51.1,
        "llmbar-adver-manual": 60.9,
    }
    found = section_scores({subset: score / 100 for subset, score in percent.items()})
    chat_hard = found.sections["Chat Hard"]
    assert chat_hard is not None
    assert round(100 * chat_hard, 1) == 62.7
    right = [size * percent[name] / 100 for name, size in LLMBAR.items()]
    assert right == pytest.approx([83, 95, 25, 24, 28], abs=0.05)


def test_versions_differ_in_the_halves_of_xstest() -> None:
    """(100 + 97 + 112 + 250 x 1 + 154 x 0.284) / 740."""
    found = section_scores(BEAVER, "a32e272").sections
    assert found["Safety"] == pytest.approx((309 + 250 + 154 * 0.284) / 740, abs=1e-12)
    assert {name: found[name] for name in ("Chat", "Chat Hard", "Reasoning")} == {
        name: section_scores(BEAVER).sections[name] for name in ("Chat", "Chat Hard", "Reasoning")
    }


def test_mathematics_weighs_as_much_as_code() -> None:
    only_math = {subset: float(subset == "math-prm") for subset in SUBSETS}
    assert section_scores(only_math).sections["Reasoning"] == 0.5


def test_prior_sets_count_half_a_section() -> None:
    sections = section_scores(BEAVER)
    assert sections.overall is not None
    found = section_scores({**BEAVER, **dict.fromkeys(PRIOR_SETS, 0.8)})
    assert found.prior_sets == pytest.approx(0.8)
    assert found.overall == pytest.approx((4 * sections.overall + 0.4) / 4.5)
    incomplete = section_scores({**BEAVER, "shp": 0.8})
    assert (incomplete.prior_sets, incomplete.overall) == (None, sections.overall)


def test_there_are_23_subsets_and_llmbar_is_419_of_them() -> None:
    assert len(SUBSETS) == len(set(SUBSETS)) == 23
    assert sum(LLMBAR.values()) == 419
    for weights in AGGREGATIONS.values():
        assert sum(sum(section.values()) for section in weights.values()) == 2985 + 984 - 447


def test_a_section_with_a_subset_missing_has_no_score() -> None:
    found = section_scores({name: accuracy for name, accuracy in BEAVER.items() if name != "mt-bench-hard"})
    assert found.sections["Chat Hard"] is None
    assert found.sections["Chat"] is not None
    assert found.missing == {"Chat Hard": ("mt-bench-hard",)}
    assert found.overall is None


def test_nothing_is_no_score() -> None:
    assert set(section_scores({}).sections.values()) == {None}


@pytest.mark.parametrize(
    ("accuracies", "aggregation", "message"),
    [
        (
            {"llmbar-naturel": 0.5, "x": 0.5},
            LATEST,
            r"no subset 'llmbar-naturel' \(did you mean 'llmbar-natural'\?\); no subset 'x'",
        ),
        ({"math-prm": 1.5}, LATEST, "math-prm: expected an accuracy from 0 to 1, got 1.5"),
        ({"math-prm": float("nan")}, LATEST, "got nan"),
        ({}, "v9", "no aggregation 'v9' of RewardBench; known: 05a9005, a32e272"),
    ],
)
def test_what_is_refused(accuracies: dict[str, float], aggregation: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        section_scores(accuracies, aggregation)
