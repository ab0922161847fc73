"""LLMBar's files and the processed sets, and what is no such file."""

import json
from pathlib import Path

import pytest

from epa_bench.core.errors import DataError
from epa_bench.suites.labelled_pairs import LabelledPair, length_baseline, read_labelled_pairs

PAIR = {"input": "i", "output_1": "a", "output_2": "bc", "label": 2}


@pytest.mark.parametrize(
    ("name", "count", "agreement"),
    [
        ("Natural", 100, 0.56),
        ("Neighbor", 134, 0.12),
        ("GPTInst", 92, 0.13),
        ("GPTOut", 47, 0.45),
        ("Manual", 46, 0.17),
        ("processed_FairEval", 66, None),
        ("processed_LLMEval2", 200, None),
        ("processed_MT-Bench", 200, None),
    ],
)
def test_real_sets(name: str, count: int, agreement: float | None, shared_data: Path) -> None:
    pairs = read_labelled_pairs(shared_data / "preferences" / "llmbar" / f"{name}.json")
    assert len(pairs) == count
    if agreement is not None:
        assert round(length_baseline(pairs), 2) == agreement


def test_equal_lengths_are_no_agreement() -> None:
    pair = LabelledPair(input="i", output_1="ab", output_2="cd", label=1)
    assert pair.longer is None
    assert length_baseline([pair, pair.model_copy(update={"output_1": "abc"})]) == 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps([PAIR, {**PAIR, "label": 3}]), "pairs.json, row 2: label: Input should be 1 or 2"),
        (json.dumps([{**PAIR, "label": "1"}]), "row 1: label: "),
        (json.dumps([{**PAIR, "note": 1}]), "row 1: note: "),
        (json.dumps([{"input": "i"}]), "3 problems"),
        (json.dumps([[], PAIR]), "row 1: Input should be an object"),
        (json.dumps(PAIR), "pairs.json: Input should be a valid array"),
        (json.dumps(PAIR) + "\n" + json.dumps(PAIR), "pairs.json: Invalid JSON"),
        ("[]", "got an empty list"),
        ("", "Invalid JSON"),
    ],
)
def test_what_does_not_fit_is_named(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_labelled_pairs(path)
    assert words in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nonesuch.json: No such file"):
        read_labelled_pairs(tmp_path / "nonesuch.json")
