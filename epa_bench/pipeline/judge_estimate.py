"""What judging a sweep would take: the dry run. Nothing is trained, answered or asked."""

from pathlib import Path
from typing import Any

from epa_bench.config.judge import ApiJudge
from epa_bench.core.errors import ConfigError
from epa_bench.core.files import read_records
from epa_bench.core.records import EvaluationPrompt, GeneratedResponse
from epa_bench.judges.asking import silent
from epa_bench.judges.endpoint import EndpointJudge
from epa_bench.judges.pairs import pairwise_questions
from epa_bench.judges.records import Question
from epa_bench.pipeline.cell_runner import CellRunner
from epa_bench.pipeline.owed import check_sources
from epa_bench.pipeline.run import Run
from epa_bench.pipeline.training_cells import Checkpoint
from epa_bench.suites.alpaca_eval_texts import ReferenceAnswer, pairings
from epa_bench.suites.definitions import AlpacaEvalSuite, MtBenchSuite
from epa_bench.suites.mt_bench import first_prompt, second_prompt
from epa_bench.suites.mt_bench_sources import read_mt_bench

_BYTES_PER_TOKEN = 4


def judge_estimates(run: Run) -> list[dict[str, Any]]:
    """One row a suite. Answers that are not there yet are taken to be as long as they may become.

    Raises ConfigError for a judge that is not asked, SuiteError where a suite's sources are missing.
    """
    judge, cells = run.sweep.judge, run.cells
    published = {name: s for name, s in cells.suites.items() if isinstance(s, AlpacaEvalSuite | MtBenchSuite)}
    if not isinstance(judge, ApiJudge) or not published:
        raise ConfigError("no suite of this sweep asks a judge behind an endpoint, so there is nothing to estimate")
    texts = [cells.texts(suite) for suite in published.values()]
    check_sources(run.store, texts)
    for cell in texts:
        CellRunner(run.store.root, cells.device, {})(cell, silent)
    asking = cells.verdicts(cells.checkpoints[-1], next(iter(published.values()))).hints
    endpoint = EndpointJudge(judge, Path(asking["replies"]), Path(asking["ledger"]))
    rows = []
    for name, suite in published.items():
        checkpoints = cells.evaluated(suite)
        answered = [each for each in checkpoints if run.store.has(cells.responses(each, suite))]
        known = endpoint.estimate([asked for each in answered for asked in _questions(run, each, suite)])
        waiting = [each for each in checkpoints if each not in answered]
        # What stands in for answers is as long for every checkpoint, so one of those speaks for all.
        guessed = endpoint.estimate(_questions(run, waiting[-1], suite) if waiting else [])
        estimate = known + guessed * len(waiting)
        rows.append(
            {
                "suite": name,
                "checkpoints": len(checkpoints),
                "answered": len(answered),
                "questions": estimate.questions,
                "calls": estimate.calls,
                "input_tokens": estimate.input_tokens,
                "output_tokens": estimate.output_tokens,
                "dollars": estimate.dollars,
            }
        )
    return rows


def _questions(run: Run, checkpoint: Checkpoint, suite: AlpacaEvalSuite | MtBenchSuite) -> list[Question]:
    texts = run.store.open(run.cells.texts(suite))
    if isinstance(suite, AlpacaEvalSuite):
        template = texts.file("judge_prompt").read_text(encoding="utf-8")
        references = read_records(texts.file("reference.jsonl"), ReferenceAnswer)
        return pairwise_questions(
            pairings(_answers(run, checkpoint, suite), references), suite.judging.with_template(template)
        )
    bench = read_mt_bench({role: texts.file(role) for role in suite.roles}, suite.roles, suite.limit)
    answers = bench.turns(_answers(run, checkpoint, suite))
    if suite.mode == "single":
        return [item.question for item in bench.rating_items(answers)]
    baseline = bench.turns(_answers(run, run.cells.checkpoints[0], suite))
    return [asked for item in bench.match_items(answers, baseline) for asked in (item.straight, item.swapped)]


def _answers(run: Run, checkpoint: Checkpoint, suite: AlpacaEvalSuite | MtBenchSuite) -> list[GeneratedResponse]:
    cell = run.cells.responses(checkpoint, suite)
    if run.store.has(cell):
        return read_records(run.store.open(cell).file("responses.jsonl"), GeneratedResponse)
    texts = run.store.open(run.cells.texts(suite))
    if isinstance(suite, AlpacaEvalSuite):
        prompts = read_records(texts.file("prompts.jsonl"), EvaluationPrompt)[: suite.limit]
        return [_stand_in(prompt, checkpoint, suite.decoding.max_new_tokens) for prompt in prompts]
    bench = read_mt_bench({role: texts.file(role) for role in suite.roles}, suite.roles, suite.limit)
    return [
        _stand_in(prompt, checkpoint, suite.max_new_tokens)
        for question in bench.questions.values()
        for prompt in (first_prompt(question), second_prompt(question, ""))
    ]


def _stand_in(prompt: EvaluationPrompt, checkpoint: Checkpoint, max_new_tokens: int) -> GeneratedResponse:
    """No two alike: equal questions are asked once, and equal answers not at all."""
    text = f"{checkpoint.label} {prompt.prompt_id} ".ljust(_BYTES_PER_TOKEN * max_new_tokens, "x")
    return GeneratedResponse(
        prompt_id=prompt.prompt_id, prompt=prompt.prompt, text=text, tokens=max_new_tokens, finish="length"
    )
