"""Runs written by hand: any prompt, answer and verdict, in real cells of a real store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epa_bench.core.digest import digest_of
from epa_bench.core.files import atomic_write_text, write_records
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import GeneratedResponse, Record, ScoreRow, prompt_digest
from epa_bench.core.store import CellSpec, Store
from epa_bench.judges.records import OrderVerdict, PairwiseVerdict, Reply, Usage
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.run_cells import CELLS, ResultCells, RunCells
from epa_bench.suites.alpaca_eval import METRICS
from epa_bench.suites.alpaca_eval_texts import ReferenceAnswer

SUITE = "alpaca_eval_2"


@dataclass(frozen=True)
class Judged:
    """An answer and what the judge said of it in each order."""

    text: str
    preferences: tuple[float | None, ...] = (1.25,)
    """A call each, the first shown second; None where the judge's reply could not be read. Equal answers need none."""

    reasoning: str = "because"

    @property
    def preference(self) -> float | None:
        known = [each for each in self.preferences if each is not None]
        if len(known) < len(self.preferences):
            return None
        return sum(known) / len(known) if known else 1.5


Examples = Mapping[str, Mapping[tuple[str, int], Judged]]
"""Prompt -> (arm, seed) -> its answer."""


def write_handmade(
    runs: Path,
    examples: Examples,
    *,
    name: str = "made",
    category: str = "helpful_base",
    judge: Mapping[str, Any] | None = None,
    info: MetricInfo | None = None,
) -> Path:
    """A judged run of these examples; the first arm is the baseline method. Gives its folder."""
    store = Store(runs / "store")
    checkpoints = list(dict.fromkeys(of for answers in examples.values() for of in answers))
    listed, rows = [], []
    steps: dict[str, str] = {}
    texts = _texts(store, examples, category)
    for arm, seed in checkpoints:
        own = {prompt: answers[arm, seed] for prompt, answers in examples.items() if (arm, seed) in answers}
        values = _cells(store, arm, seed, own, texts)
        listed.append(ResultCells(suite=SUITE, arm=arm, seed=seed, cells=(values.digest,)))
        steps |= {cell.digest: cell.step for cell in (values, *values.needs, *values.inputs["verdicts"].needs)}
        rows += [_row(arm, seed, prompt, judged) for prompt, judged in own.items()]
    board = build_table(
        rows,
        baseline=checkpoints[0][0],
        judge={SUITE: "a judge"},
        title=f"Sweep {name}",
        versions={"epa-bench": "0"},
        notes=["a note"],
        metrics={(SUITE, "win_rate"): info or METRICS["win_rate"]},
    )
    folder = runs / name
    write_run(folder, rows, board, runs / "leaderboards")
    cells = RunCells(store="../store", results=tuple(listed), table=steps, sweep=steps)
    atomic_write_text(folder / CELLS, cells.model_dump_json())
    write_sweep(folder, [arm for arm, _ in checkpoints], judge or {"kind": "api", "model": "a judge"})
    return folder


def write_sweep(folder: Path, arms: Sequence[str], judge: Mapping[str, Any]) -> None:
    """A `sweep.yaml` as far as the page reads it; JSON is YAML."""
    from json import dumps

    sweep = {
        "reference": {"kind": "checkpoint", "path": "org/base"},
        "data": {"kind": "embedded"},
        "methods": {
            arm.rpartition("/")[2]: {"loss": "epa" if "epa" in arm else "dpo", "control_of": None} for arm in arms
        },
        "judge": judge,
    }
    atomic_write_text(folder / "sweep.yaml", dumps(sweep))


def _row(arm: str, seed: int, prompt: str, judged: Judged) -> ScoreRow:
    preference = judged.preference
    return ScoreRow(
        suite=SUITE,
        metric="win_rate",
        arm=arm,
        method=arm,
        beta=0.1,
        learning_rate=1e-6,
        seed=seed,
        prompt_id=prompt_digest(prompt),
        value=None if preference is None else preference - 1,
        error="unread: neither label" if preference is None else None,
    )


def _texts(store: Store, examples: Examples, category: str) -> CellSpec:
    references = [
        ReferenceAnswer(instruction=prompt, output=f"reference of {prompt[:20]}", generator="gpt", dataset=category)
        for prompt in examples
    ]
    prompts = [reference.prompt() for reference in references]
    return _compute(store, "texts", {}, {}, {"reference.jsonl": references, "prompts.jsonl": prompts}, "texts")


def _cells(store: Store, arm: str, seed: int, own: Mapping[str, Judged], texts: CellSpec) -> CellSpec:
    config = {"arm": arm, "seed": seed}
    responses = [
        GeneratedResponse(prompt_id=prompt_digest(prompt), prompt=prompt, text=judged.text, tokens=1, finish="stop")
        for prompt, judged in own.items()
    ]
    answered = _compute(store, "responses", config, {}, {"responses.jsonl": responses}, f"answers of {arm}")
    verdicts = [_verdict(prompt, judged) for prompt, judged in own.items()]
    inputs = {"responses": answered, "texts": texts}
    judged_pairs = _compute(store, "judged_pairs", config, inputs, {"verdicts.jsonl": verdicts}, f"verdicts {arm}")
    return _compute(store, "values", {"kind": "alpaca_eval"}, {"verdicts": judged_pairs}, {}, f"values {arm}")


def _verdict(prompt: str, judged: Judged) -> PairwiseVerdict:
    reply = Reply(text=judged.reasoning, usage=Usage(input_tokens=100, output_tokens=10))
    orders = [
        OrderVerdict(
            swapped=number == 1,
            preference=preference,
            error="unread: neither label" if preference is None else None,
            outside=0.02,
            reply=reply,
        )
        for number, preference in enumerate(judged.preferences)
    ]
    return PairwiseVerdict(
        prompt_id=prompt_digest(prompt),
        output=judged.text,
        baseline=f"reference of {prompt[:20]}",
        preference=judged.preference,
        error="unread: neither label" if judged.preference is None else None,
        orders=tuple(orders),
    )


def _compute(
    store: Store,
    step: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, CellSpec],
    files: Mapping[str, Sequence[Record]],
    label: str,
) -> CellSpec:
    content = [[record.model_dump(mode="json") for record in records] for records in files.values()]
    spec = CellSpec(step, {**config, "content": digest_of(content)}, inputs, {"code": "0"}, label)

    def work(folder: Path) -> None:
        for name, records in files.items():
            write_records(folder / name, records)

    store.compute(spec, work)
    return spec
