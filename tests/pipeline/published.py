"""Small suites of the published kinds, with texts of our own, for sweeps that a loopback judge reads."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.judge_server import Asked, Fault
from tests.judging import TEMPLATE
from tests.pipeline.conftest import preference_row

if TYPE_CHECKING:
    from tests.conftest import Workplace

Judged = Callable[..., "Workplace"]
"""The fixture `judged`."""

PROMPTS = 6
CHECKPOINTS = 3
"""The reference, DPO and EPA with a seed each."""

QUESTIONS = {81: "writing", 82: "writing", 101: "reasoning", 151: "humanities"}


def write_suites(folder: Path, prompts: int = PROMPTS) -> dict[str, Any]:
    """Writes the sources into FOLDER/mirror; gives a sweep's `suites`."""
    mirror = folder / "mirror"
    mirror.mkdir(exist_ok=True)
    rows = [
        {"instruction": f"question {i}", "output": f"the reference says {i}", "generator": "ref", "dataset": "own"}
        for i in range(prompts)
    ]
    files = {
        "reference": json.dumps(rows),
        "judge_prompt": TEMPLATE,
        "questions": _lines(
            {"question_id": n, "category": category, "turns": [f"question {n}", f"say more of {n}"]}
            for n, category in QUESTIONS.items()
        ),
        "references_gpt-4": _lines([_reference(101)]),
        "references_gpt-4-0125-preview": _lines([_reference(101)]),
        "judge_prompts": _lines(_judge_prompts()),
    }
    sources = {}
    for role, text in files.items():
        (mirror / role).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        # A shipped suite's hub address, size and licence stay where it has them; only the bytes are other ones.
        sources[role] = {"sha256": digest, "bytes": None, "licence": "ours"}
    alpaca = {role: sources[role] for role in ("reference", "judge_prompt")}
    mt_bench = {role: source for role, source in sources.items() if role not in alpaca}
    return {
        "alpaca_eval_2": {"sources": alpaca, "decoding": {"max_new_tokens": 6}, "length_control": False},
        "mt_bench": {"sources": mt_bench, "max_new_tokens": 6},
    }


def judged_sweep(folder: Path, prompts: int = PROMPTS) -> dict[str, Any]:
    """Writes data and suites into a folder; gives the changes of the mini sweep that make it one over them."""
    for name, numbers in (("train", range(1, 25)), ("eval", range(101, 113))):
        rows = "".join(json.dumps(preference_row(number)) + "\n" for number in numbers)
        (folder / f"{name}.jsonl").write_text(rows)
    return {
        "reference": {"kind": "scratch", "model": _MODEL, "sft": {"num_train_epochs": 1, "batch_size": 8}},
        "data": {"kind": "files", "train": "train.jsonl", "eval": "eval.jsonl", "max_length": 96},
        # Far enough from the reference that no two checkpoints give the same answer.
        "methods": {"dpo": {"loss": "dpo", **_STEP}, "epa-1-1-2": {"loss": "epa", "weak": 2, **_STEP}},
        "seeds": [1],
        "suites": write_suites(folder, prompts),
        "mirror": str(folder / "mirror"),
        "judge": api("http://127.0.0.1:9/v1"),
    }


_STEP = {"beta": 0.5, "learning_rate": 0.05}

_MODEL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 320,
    "max_position_embeddings": 256,
}


def rows_of(place: "Workplace") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place.folder / "runs" / "mini" / "rows.jsonl").read_text().splitlines()]


def api(url: str, **settings: Any) -> dict[str, Any]:
    return {"kind": "api", "model": "judge", "base_url": url, "concurrency": 4, **settings}


def rate(asked: Asked) -> Fault | None:
    """A rating or a label where no log-probs are asked for."""
    if asked.body.get("logprobs"):
        return None
    digest = hashlib.sha256(asked.text.encode()).digest()[0]
    label = "ABC"[digest % 3] if "Give a label" in asked.text or "[[A]]" in asked.text else str(1 + digest % 10)

    def change(completion: dict[str, Any]) -> None:
        completion["choices"][0]["message"]["content"] = f"I say [[{label}]]"

    return Fault(change=change)


def misbehaving(asked: Asked) -> Fault | None:
    """Every fault in the book the first time a question is asked, the right answer the second time."""
    if asked.attempt:
        return rate(asked)
    faults = [
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=500),
        Fault(drop=True),
        Fault(cut=True),
        Fault(body=b"{not json"),
        Fault(change=lambda completion: completion["choices"][0].pop("logprobs", None)),
        Fault(change=lambda completion: say(completion, "I cannot help with that.")),
        None,
    ]
    fault = faults[len(asked.text) % len(faults)]
    return fault if fault is not None else rate(asked)


def say(completion: dict[str, Any], text: str) -> None:
    completion["choices"][0]["message"]["content"] = text
    completion["choices"][0].pop("logprobs", None)


def _lines(rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _reference(number: int) -> dict[str, Any]:
    choice = {"index": 0, "turns": ["first truth", "second truth"]}
    return {"question_id": number, "answer_id": "a", "model_id": "gpt-4", "choices": [choice], "tstamp": 0.0}


def _judge_prompts() -> list[dict[str, Any]]:
    rows = []
    for mode, version in (("single", "v1"), ("pair", "v2")):
        for math in (False, True):
            for turn in (1, 2):
                name = f"{mode}-{'math-v1' if math else version}{'-multi-turn' if turn == 2 else ''}"
                rows.append(
                    {
                        "name": name,
                        "type": "single" if mode == "single" else "pairwise",
                        "system_prompt": f"You judge ({name}).",
                        "prompt_template": _template(mode, turn, math),
                        "description": "",
                        "category": "",
                        "output_format": "",
                    }
                )
    return rows


def _template(mode: str, turn: int, math: bool) -> str:
    answers = ["answer"] if mode == "single" else ["answer_a", "answer_b"]
    places = ["question", *answers] if turn == 1 else [f"{name}_{t}" for name in ("question", *answers) for t in (1, 2)]
    places += [f"ref_answer_{t}" for t in range(1, turn + 1)] if math else []
    ask = "Give a rating." if mode == "single" else "Give a label."
    return ask + "".join(f"\n{place}: {{{place}}}" for place in places)
