"""The prompts that suites ask, as users write them: what training data must not hold."""

from collections.abc import Mapping, Sequence

from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import EvaluationPrompt, Preference
from epa_bench.data.contamination import asked_texts
from epa_bench.suites.bench_prompts import read_prompts
from epa_bench.suites.mt_bench_sources import read_questions

HELD_OUT = "data.eval"
"""Stands for every suite that asks the sweep's own evaluation rows."""


def asked_by_suites(
    held_out: Sequence[Preference], kinds: Mapping[str, str], texts: Mapping[str, Cell]
) -> dict[str, list[str]]:
    """Suite -> its prompts, every turn by itself; the evaluation rows under `HELD_OUT`.

    `kinds`: of the suites with prompts of their own, `texts`: their cells of that name. A suite's limit does not count.
    """
    asked = {HELD_OUT: [text for row in held_out for text in asked_texts(row.prompt)]}
    for name, kind in kinds.items():
        if kind == "alpaca_eval":
            prompts = read_records(texts[name].file("prompts.jsonl"), EvaluationPrompt)
            asked[name] = [text for prompt in prompts for text in asked_texts(prompt.prompt)]
        elif kind == "reward_bench":
            files = {role: texts[name].file(role) for role in texts[name].manifest.outputs}
            asked[name] = [text for prompt in read_prompts(files) for text in asked_texts(prompt.prompt)]
        else:
            assert kind == "mt_bench", kind
            asked[name] = [
                turn for question in read_questions(texts[name].file("questions"), None) for turn in question.turns
            ]
    return asked
