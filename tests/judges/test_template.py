"""Prompt templates: the messages alpaca_eval makes, and texts that stay data."""

import json
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import SuiteError
from epa_bench.judges.template import make_template, parse_chatml
from tests.judging import TEMPLATE

PLACES = ("instruction", "output_1", "output_2")

UPSTREAM = """
import json, sys
import pandas
from alpaca_eval import utils
template, rows = json.load(sys.stdin)
prompts, _ = utils.make_prompts(pandas.DataFrame(rows), template)
print(json.dumps([utils.prompt_to_chatml(prompt.strip()) for prompt in prompts]))
"""


def test_sections_become_messages() -> None:
    messages = parse_chatml(TEMPLATE, PLACES).fill({"instruction": "i", "output_1": "a", "output_2": "b"})
    assert [(m.role, m.content) for m in messages] == [
        ("system", "You compare answers."),
        ("user", "Instruction: i\nFirst: <<a>>\nSecond: <<b>>\nAnswer m or M and nothing else."),
    ]


@given(st.fixed_dictionaries({place: st.text() | st.sampled_from([f"{{{p}}}" for p in PLACES]) for place in PLACES}))
def test_texts_are_put_in_once_and_unchanged(texts: dict[str, str]) -> None:
    user = parse_chatml(TEMPLATE, PLACES).fill(texts)[1].content
    assert user == (
        f"Instruction: {texts['instruction']}\nFirst: <<{texts['output_1']}>>\nSecond: <<{texts['output_2']}>>\n"
        "Answer m or M and nothing else."
    )


def test_other_braces_are_text() -> None:
    template = make_template([("user", '{\n "a": {output_1}, {other} {{output_2}}')], ("output_1", "output_2"))
    assert template.fill({"output_1": "x", "output_2": "y"})[0].content == '{\n "a": x, {other} {y}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found 0 sections"),
        ("Compare {instruction} {output_1} {output_2}", "found 0 sections"),
        ("Hello. " + TEMPLATE, "nothing between them"),
        (TEMPLATE + "<|im_start|>user\nnever ended", "nothing between them"),
        ("<|im_start|>system\nnever ended\n" + TEMPLATE, "nothing between them"),
        (TEMPLATE.replace("{output_2}", ""), "no place {output_2}; it needs instruction, output_1, output_2"),
    ],
)
def test_a_template_that_cannot_work_is_a_suite_error(text: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_chatml(text, PLACES)
    assert words in str(caught.value)


def test_the_digest_is_of_the_text() -> None:
    digests = {
        parse_chatml(text, PLACES).digest for text in (TEMPLATE, TEMPLATE + "\n", TEMPLATE.replace("m or", "or"))
    }
    assert len(digests) == 2


def test_real_pairs_become_the_messages_alpaca_eval_sends(shared_data: Path) -> None:
    """Of the attack on AlpacaEval and of an ordinary model, with the prompt of its GPT-4 judge."""
    spec = util.find_spec("alpaca_eval")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "evaluators_configs" / "alpaca_eval_clf_gpt4_turbo" / "alpaca_eval_clf.txt"
    text = file.read_text()
    rows = []
    for model in ("NullModel", "vicuna-7b-v1.5"):
        path = shared_data / "alpaca_eval" / "results" / model / "weighted_alpaca_eval_gpt4_turbo" / "annotations.json"
        rows += [{place: row[place] for place in PLACES} for row in json.loads(path.read_bytes())[:100]]
    asked = json.dumps([text, rows])
    done = subprocess.run([sys.executable, "-c", UPSTREAM], input=asked, check=True, capture_output=True, text=True)
    template = parse_chatml(text, PLACES)
    ours = [[{"content": m.content, "role": m.role} for m in template.fill(row)] for row in rows]
    assert ours == json.loads(done.stdout)
