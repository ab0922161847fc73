"""What checkpoints answered and what judges said of it, from the cells of a sweep."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import GeneratedResponse, Prompt, Verdict
from epa_bench.judges.records import GameVerdict, MatchVerdict, OrderVerdict, PairwiseVerdict, RatingVerdict, Reply
from epa_bench.pipeline.run_cells import ResultCells
from epa_bench.report.loaded import LoadedRun
from epa_bench.suites.alpaca_eval_texts import ReferenceAnswer
from epa_bench.suites.mt_bench import category_of


@dataclass(frozen=True, slots=True)
class Call:
    """One time that a judge was asked."""

    order: str
    """Where the answer stood."""

    said: str
    """The verdict that was read, or why there is none."""

    reasoning: str
    """The judge's own words; empty where it gives none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A checkpoint's answer to one prompt."""

    prompt_id: str
    item: int
    prompt: str
    category: str

    text: str
    error: str | None
    """Why there is no answer, or no verdict."""

    verdict: str = ""
    """In a word; empty without a judge."""

    calls: tuple[Call, ...] = ()

    opponent: str | None = None
    """The answer that the judge saw beside it."""


def sweep_answers(run: LoadedRun, result: ResultCells) -> list[Answer]:
    """The answers behind the rows of a suite, arm and seed; none for a suite that asks for no answers.

    Raises StoreError where a cell is absent or damaged, DataError for damaged rows.
    """
    values = run.open(result.cells[0])
    if values.manifest.recipe["step"] != "values":
        return []
    verdicts = run.input_of(values, "verdicts")
    if verdicts is not None:
        return list(_READERS[verdicts.manifest.recipe["step"]](run, verdicts))
    responses = run.input_of(values, "responses")
    return [] if responses is None else list(map(_plain, _responses(responses)))


def _responses(cell: Cell) -> list[GeneratedResponse]:
    return read_records(cell.file("responses.jsonl"), GeneratedResponse)


def _plain(response: GeneratedResponse) -> Answer:
    return Answer(response.prompt_id, 0, prompt_text(response.prompt), "", response.text, response.error)


def _gold_verdicts(run: LoadedRun, cell: Cell) -> Iterator[Answer]:
    responses = _by_prompt(run, cell)
    for verdict in read_records(cell.file("verdicts.jsonl"), Verdict):
        yield _judged_pair(verdict, prompt_text(responses[verdict.prompt_id].prompt), "", ())


def _pair_verdicts(run: LoadedRun, cell: Cell) -> Iterator[Answer]:
    responses, texts = _by_prompt(run, cell), run.input_of(cell, "texts")
    references = read_records(texts.file("reference.jsonl"), ReferenceAnswer) if texts else []
    categories = {row.prompt_id: row.dataset for row in references}
    for verdict in read_records(cell.file("verdicts.jsonl"), PairwiseVerdict):
        prompt = prompt_text(responses[verdict.prompt_id].prompt)
        yield _judged_pair(verdict, prompt, categories.get(verdict.prompt_id, ""), map(_order_call, verdict.orders))


def _judged_pair(verdict: Verdict, prompt: str, category: str, calls: Iterator[Call] | tuple[Call, ...]) -> Answer:
    return Answer(
        verdict.prompt_id,
        0,
        prompt,
        category,
        verdict.output,
        verdict.error,
        preference_word(verdict.preference),
        tuple(calls),
        verdict.baseline,
    )


def _turn_verdicts(run: LoadedRun, cell: Cell) -> Iterator[Answer]:
    responses = _by_prompt(run, cell)
    baseline = run.input_of(cell, "baseline")
    opponents = {} if baseline is None else {row.prompt_id: row.text for row in _responses(baseline)}
    path = cell.file("verdicts.jsonl")
    rated = cell.manifest.recipe["config"]["mode"] == "single"
    for verdict in read_records(path, RatingVerdict) if rated else read_records(path, MatchVerdict):
        turn = f"{int(verdict.prompt_id):03d}-{verdict.item}"
        asked = responses[turn]
        assert not isinstance(asked.prompt, str)
        word, calls = _rating(verdict) if isinstance(verdict, RatingVerdict) else _match(verdict)
        yield Answer(
            verdict.prompt_id,
            verdict.item,
            # Its own first answer, which the second turn follows, differs by checkpoint.
            prompt_text(tuple(message for message in asked.prompt if message.role == "user")),
            category_of(int(verdict.prompt_id)),
            asked.text,
            asked.error or verdict.error,
            word,
            calls,
            opponents.get(turn),
        )


def _by_prompt(run: LoadedRun, verdicts: Cell) -> Mapping[str, GeneratedResponse]:
    responses = run.input_of(verdicts, "responses")
    assert responses is not None
    return {row.prompt_id: row for row in _responses(responses)}


_READERS: Mapping[str, Callable[[LoadedRun, Cell], Iterator[Answer]]] = {
    "verdicts": _gold_verdicts,
    "judged_pairs": _pair_verdicts,
    "judged_turns": _turn_verdicts,
}


def prompt_text(prompt: Prompt) -> str:
    """A prompt as people read it: messages with their roles, a lone user message as it is."""
    if isinstance(prompt, str):
        return prompt
    if [message.role for message in prompt] == ["user"]:
        return prompt[0].content
    return "\n\n".join(f"[{message.role}] {message.content}" for message in prompt)


def preference_word(preference: float | None) -> str:
    if preference is None:
        return "failed"
    return "wins" if preference > 1.5 else "loses" if preference < 1.5 else "draw"


def _order_call(call: OrderVerdict) -> Call:
    said = call.error or f"prefers it with probability {(call.preference or 0) - 1:.3f}"
    return Call(_place(call.swapped), said, _words(call.reply))


def _rating(verdict: RatingVerdict) -> tuple[str, tuple[Call, ...]]:
    word = "failed" if verdict.rating is None else f"rated {verdict.rating:g}"
    return word, (Call("by itself", verdict.error or word, _words(verdict.reply)),)


def _match(verdict: MatchVerdict) -> tuple[str, tuple[Call, ...]]:
    return _WORDS[verdict.winner], tuple(map(_game_call, verdict.games))


_WORDS = {"output": "wins", "baseline": "loses", "tie": "draw", None: "failed"}


def _game_call(game: GameVerdict) -> Call:
    return Call(_place(game.swapped), game.error or _WORDS[game.winner], _words(game.reply))


def _place(swapped: bool) -> str:
    return "shown first" if swapped else "shown second"


def _words(reply: Reply | None) -> str:
    return reply.text if reply else ""
