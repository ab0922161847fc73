"""Reading alpaca_eval's annotations and compact ones: real folders, damaged rows, strange text."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.errors import DataError
from epa_bench.core.records import prompt_digest
from epa_bench.suites.alpaca_eval import canonical_ids
from epa_bench.suites.alpaca_eval_files import read_annotations, read_output_lengths
from epa_bench.suites.alpaca_eval_layout import ModelFiles, find_models
from epa_bench.suites.annotations import Annotation
from tests.suites.annotated import JUDGE, upstream_row, write_model


def read_rows(folder: Path, *rows: dict[str, Any]) -> list[Annotation]:
    write_model(folder / "mine", list(rows))
    (files,), _ = find_models([folder / "mine"])
    return [row.annotation for row in read_annotations(files)]


def compact(folder: Path, *rows: dict[str, Any]) -> ModelFiles:
    path = folder / "model.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return ModelFiles("model", (path,), None)


COMPACT_ROW = {"i": 3, "p": 1.5, "l1": 10, "l2": 7, "same": False, "top": [["m", -0.1]], "tok": 5.0, "usd": 1.0, "s": 2}


def test_layouts(tmp_path: Path) -> None:
    """A folder of results, of a model, of a judge, the file itself: all name the model by its folder."""
    results = tmp_path / "results"
    write_model(results / "b", [upstream_row("x")], outputs=True)
    write_model(results / "a", [upstream_row("x")])
    write_model(results / "a", [upstream_row("x")], judge="another")
    (results / "c").mkdir()
    (results / "c" / "model_outputs.json").write_text("[]")
    found, unjudged = find_models([results])
    assert [(files.model, len(files.annotations), files.outputs is not None) for files in found] == [
        ("a", 2, False),
        ("b", 1, True),
    ]
    assert unjudged == ["c"]
    for place in (results / "b", results / "b" / JUDGE, results / "b" / JUDGE / "annotations.json"):
        assert find_models([place]) == ([found[1]], [])


@pytest.mark.parametrize("place", ["results/c", "empty", "nonesuch", "note.txt"])
def test_places_without_annotations(place: str, tmp_path: Path) -> None:
    (tmp_path / "results" / "c").mkdir(parents=True)
    (tmp_path / "results" / "c" / "model_outputs.json").write_text("[]")
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(DataError, match=rf"{place}: expected annotations\.json in alpaca_eval's layout"):
        find_models([tmp_path / place])


def test_a_model_found_twice(tmp_path: Path) -> None:
    write_model(tmp_path / "one" / "mine", [upstream_row("x")])
    write_model(tmp_path / "two" / "mine", [upstream_row("x")])
    with pytest.raises(DataError, match=r"two sets of annotations are called mine: .*one.* and .*two"):
        find_models([tmp_path / "one", tmp_path / "two"])


def test_a_row(tmp_path: Path) -> None:
    top = [{"token": "m", "bytes": [109], "logprob": -0.5}, {"token": "M", "bytes": [77], "logprob": -1.0}]
    completion = {"logprobs": {"content": [{"token": "m", "top_logprobs": top}]}, "total_tokens": 835.0}
    (row,) = read_rows(tmp_path, upstream_row("x", raw_completion=completion, output_2="four", output_1="seventy"))
    assert (row.model, row.prompt_id, row.index) == ("mine", prompt_digest("x"), None)
    assert (row.length, row.reference_length, row.identical) == (4, 7, False)
    assert row.top_logprobs == (("m", -0.5), ("M", -1.0))
    assert (row.tokens, row.price, row.seconds) == (835, 0.01, 0.2)
    assert (row.generator, row.reference_generator, row.annotator) == ("mine", "gpt4_1106_preview", JUDGE)


@pytest.mark.parametrize(("stored", "read"), [(0, 1.5), (0.0, 1.5), (1, 1.0), (2, 2.0), (None, None), (-1, None)])
def test_draws_and_unparsed_replies(stored: float | None, read: float | None, tmp_path: Path) -> None:
    assert read_rows(tmp_path, upstream_row("x", preference=stored))[0].preference == read


@pytest.mark.parametrize("completion", [None, "m", {}, {"logprobs": None}, {"logprobs": {"content": []}}, [1]])
def test_replies_without_log_probs(completion: object, tmp_path: Path) -> None:
    assert read_rows(tmp_path, upstream_row("x", raw_completion=completion))[0].top_logprobs is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preference": 2.5}, "`preference`: expected a preference from 1 to 2, 0 for a draw, or null, got 2.5"),
        ({"preference": 0.5}, "got 0.5"),
        ({"preference": True}, "got True"),
        ({"preference": "1.5"}, "got '1.5'"),
        ({"preference": ...}, "`preference`: expected a preference"),
        ({"output_2": None}, "`output_2`: expected text, got null"),
        ({"output_1": ...}, "`output_1`: expected text, got nothing"),
        ({"instruction": 3}, "`instruction`: expected text, got 3"),
        ({"index": -1}, "`index`: expected a whole number from 0, got -1"),
        ({"index": 1.0}, "`index`: expected a whole number from 0, got 1.0"),
        ({"annotator": 7}, "`annotator`: Input should be a valid string"),
        ({"raw_completion": {"logprobs": {"content": [{"top_logprobs": [{"token": 1}]}]}}}, "`raw_completion`: "),
        ({"raw_completion": {"logprobs": {"content": [{"top_logprobs": ["m"]}]}}}, "`raw_completion`: "),
    ],
)
def test_damaged_rows_are_named(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path, upstream_row("x"), upstream_row("y", **changes), upstream_row("z", preference=9))
    message = str(caught.value)
    assert "2 problems" in message
    assert "annotations.json, row 2: " in message
    assert words in message
    assert "annotations.json, row 3: `preference`" in message
    assert "row 1" not in message


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"instruction": NaN}]', "[]"])
def test_files_that_are_no_lists_of_rows(text: str, tmp_path: Path) -> None:
    (write_model(tmp_path / "mine", []) / JUDGE / "annotations.json").write_text(text)
    (files,), _ = find_models([tmp_path / "mine"])
    with pytest.raises(DataError, match=r"annotations\.json"):
        read_annotations(files)


def test_strange_text_keeps_its_length(tmp_path: Path) -> None:
    """Half a surrogate pair cannot be written again; a whole one is one character, as pandas counts it."""
    texts = ["\ud800 half", "\U0001f600 whole", "nul \x00, bell \x07, line \u2028", "", "\u202e turned"]
    rows = read_rows(tmp_path, *[upstream_row(f"p{n}", output_2=text) for n, text in enumerate(texts)])
    assert [row.length for row in rows] == [len(text) for text in texts]
    assert [row.output for row in rows] == ["\ufffd half", *texts[1:]]
    assert rows == [Annotation.model_validate_json(row.model_dump_json()) for row in rows]


def test_index_of_the_file_must_not_contradict_the_canonical_one(shared_data: Path, tmp_path: Path) -> None:
    prompts = json.loads((shared_data / "alpaca_eval" / "alpaca_eval_gpt4_baseline.json").read_bytes())
    instruction = prompts[5]["instruction"]
    assert read_rows(tmp_path, upstream_row(instruction))[0].index == 5
    assert read_rows(tmp_path, upstream_row(instruction, index=5))[0].index == 5
    assert read_rows(tmp_path, upstream_row("own prompt", index=900))[0].index == 900
    with pytest.raises(DataError, match="`index`: 4, but this is prompt 5 of AlpacaEval"):
        read_rows(tmp_path, upstream_row(instruction, index=4))


def test_compact_rows(tmp_path: Path) -> None:
    (row,) = [located.annotation for located in read_annotations(compact(tmp_path, COMPACT_ROW))]
    assert (row.prompt_id, row.index, row.length, row.reference_length) == (canonical_ids()[3], 3, 7, 10)
    assert (row.preference, row.top_logprobs, row.annotator, row.output) == (1.5, (("m", -0.1),), None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"i": 805}, "`i`: expected a canonical index from 0 to 804, got 805"),
        ({"i": True}, "`i`: expected"),
        ({"i": None}, "`i`: expected"),
        ({"l2": None}, "`length`: "),
        ({"l1": -1}, "`reference_length`: "),
        ({"p": 3}, "`p`: expected a preference"),
        ({"top": [["m"]]}, "`top`: expected tokens with their log-probabilities"),
        ({"top": {"m": 1}}, "`top`: expected tokens"),
    ],
)
def test_damaged_compact_rows_are_named(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_annotations(compact(tmp_path, COMPACT_ROW, {**COMPACT_ROW, **changes}))
    assert "model.jsonl.gz, row 2" in str(caught.value)
    assert words in str(caught.value)


def test_lengths_of_answers(tmp_path: Path) -> None:
    path = tmp_path / "model_outputs.json"
    path.write_text(json.dumps([{"output": ""}, {"output": "four"}]))
    assert read_output_lengths(path) == [0, 4]
    path.write_text(json.dumps([{"output": ""}, {"output": None}]))
    with pytest.raises(DataError, match=r"row 2: `output`: expected text, got null"):
        read_output_lengths(path)


def test_every_stored_log_prob_row_of_the_real_models(shared_data: Path) -> None:
    """3,219 rows of four models; those without log-probs are the draws of identical answers."""
    found, unjudged = find_models([shared_data / "alpaca_eval" / "results"])
    rows = [row.annotation for files in found for row in read_annotations(files)]
    assert [files.model for files in found] == ["NullModel", "gpt-3.5-turbo-1106", "minotaur-13b", "vicuna-7b-v1.5"]
    assert unjudged == ["gemma-2-9b-it-DPO", "gemma-2-9b-it-SimPO", "zephyr-7b-beta"]
    assert len(rows) == 3 * 805 + 804
    assert all(row.index is not None for row in rows)
    assert {row.identical for row in rows if row.top_logprobs is None} == {True}
