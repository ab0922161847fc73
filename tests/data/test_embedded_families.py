"""The embedded task's prompts: what they ask, that splits are disjoint, that every text can be parsed."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import ConfigError
from epa_bench.data.embedded.families import (
    FAMILIES,
    MAX_PROMPTS,
    NUMBERS,
    OPPOSITE,
    THINGS,
    Split,
    make_prompts,
    parse,
    solve,
    split_of,
)

SPLITS: tuple[Split, ...] = ("sft", "preference", "evaluation")


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("say again: wolf ant elm", "wolf ant elm"),
        ("wolf ant elm - reversed", "elm ant wolf"),
        ("sort wolf ant elm", "ant elm wolf"),
        ("longest of: wolf feather elm", "feather"),
        ("pick longest from wolf lamp elm", "wolf"),
        ("how many: wolf ant elm oak urn", "five"),
        ("contrary to hot near", "cold far"),
        ("cold hot - but opposite", "hot cold"),
    ],
)
def test_worked_answers(prompt: str, answer: str) -> None:
    assert solve(prompt) == answer


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{}", "sort", "sort ", "sort wolf", "sort  wolf ant", "sort wolf ant ", "Sort wolf ant"),
        *("sort wolf wolf", "sort wolf spoon", "sort wolf ant elm oak urn", "contrary to wolf ant", "sort hot cold"),
        *("what is the capital of France?", "sort wolf\nant", "- reversed", "wolf ant - reversed please"),
    ],
)
def test_other_texts_are_not_prompts(text: str) -> None:
    assert solve(text) is None


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    prompt = parse(text)
    assert prompt is None or prompt.text == text


def test_a_huge_text_is_not_a_prompt() -> None:
    assert solve("sort " + "wolf " * 1_000_000) is None


def test_prompts_parse_back_to_themselves() -> None:
    prompts = make_prompts(2_000, 7, "sft")
    assert [parse(prompt.text) for prompt in prompts] == list(prompts)


def test_word_lists_are_closed_and_unambiguous() -> None:
    assert len(set(THINGS)) == len(THINGS)
    assert not set(THINGS) & (set(OPPOSITE) | set(NUMBERS.values()))
    assert all(OPPOSITE[OPPOSITE[word]] == word != OPPOSITE[word] for word in OPPOSITE)
    asked = {word for family in FAMILIES for phrasing in family.phrasings for word in phrasing.split()}
    assert not asked & {*THINGS, *OPPOSITE}
    phrasings = [phrasing for family in FAMILIES for phrasing in family.phrasings]
    assert len(set(phrasings)) == len(phrasings)


def test_prompts_are_distinct_and_the_families_take_turns() -> None:
    prompts = make_prompts(600, 0, "preference")
    assert len({prompt.text for prompt in prompts}) == 600
    assert [prompt.family for prompt in prompts] == [family.name for family in FAMILIES] * 100
    assert len({prompt.text.replace(" ".join(prompt.words), "{}") for prompt in prompts}) == 18


def test_a_shorter_draw_is_a_prefix_and_another_seed_is_another_draw() -> None:
    assert make_prompts(50, 3, "sft") == make_prompts(80, 3, "sft")[:50]
    assert make_prompts(50, 3, "sft") != make_prompts(50, 4, "sft")


def test_splits_share_no_task_even_in_another_phrasing() -> None:
    tasks = {
        split: {(p.family, p.words) for seed in (0, 1) for p in make_prompts(2_000, seed, split)} for split in SPLITS
    }
    assert not tasks["sft"] & tasks["preference"]
    assert not (tasks["sft"] | tasks["preference"]) & tasks["evaluation"]
    assert all(split_of(*task) == split for split, members in tasks.items() for task in members)


def test_split_shares() -> None:
    drawn = [split_of("sort", (a, b, c)) for a in THINGS for b in THINGS for c in THINGS]
    shares = [drawn.count(split) / len(drawn) for split in SPLITS]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


def test_prompts_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from epa_bench.data.embedded.families import make_prompts\n"
        "print([(p.text, sorted(p.topic)) for p in make_prompts(60, 5, 'evaluation')])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert outputs == {str([(p.text, sorted(p.topic)) for p in make_prompts(60, 5, "evaluation")]) + "\n"}


def test_the_largest_draw_of_the_smallest_split_ends() -> None:
    assert len(make_prompts(MAX_PROMPTS, 0, "evaluation")) == MAX_PROMPTS


@pytest.mark.parametrize("count", [-1, MAX_PROMPTS + 1])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"got {count}"):
        make_prompts(count, 0, "sft")
