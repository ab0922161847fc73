"""`epa-bench bench report`: how long a page of many examples takes to make, to show, and to filter, in Chromium."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from epa_bench.bench.browser import open_browser
from epa_bench.bench.document import put_section
from epa_bench.bench.grid import bullets
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.core.digest import stable_seed
from epa_bench.core.files import write_records
from epa_bench.core.records import Finite, Record, ScoreRow, prompt_digest
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.import_alpaca_eval import ANNOTATIONS_FILE
from epa_bench.report.write import write_report
from epa_bench.suites.alpaca_eval import METRICS, SUITE
from epa_bench.suites.annotations import Annotation

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_MODELS = ("dpo", "epa")
_PACKAGES = ("epa-bench", "playwright")
_PROMPT_WORDS, _ANSWER_WORDS = 40, 150

_CHANGE = """async ([name, value, event]) => {
  const field = document.getElementById("answers-tools").elements[name];
  const start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event(event, { bubbles: true }));
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  return performance.now() - start;
}"""
"""Milliseconds from a change of a filter to the first frame after the one that shows its result."""

_FILTERS = {
    "search, a rare word": ("search", "examples 4711", "input"),
    "search, a frequent word": ("search", "a", "input"),
    "search, nothing found": ("search", "no such words", "input"),
    "search, emptied": ("search", "", "input"),
    "where they differ": ("show", "disagree", "change"),
    "failures": ("show", "failures", "change"),
    "all again": ("show", "all", "change"),
    "largest change first": ("order", "change", "change"),
}


class ReportRow(Record):
    """One measurement: what `--json` holds."""

    what: str
    unit: str
    value: Finite
    """Median over the rounds."""

    low: Finite
    high: Finite
    rounds: int


def benchmark_report(examples: int, rounds: int, out: Path, report: Callable[[str], None]) -> list[ReportRow]:
    """Measures on this machine and writes the section. `report` is given a line a round.

    Raises ConfigError without Chromium or Playwright, DataError and StoreError as `put_section`.
    """
    rows = measure_report(examples, rounds, report)
    put_section(out, "report", to_markdown(rows, examples, this_machine("cpu", _PACKAGES)))
    return rows


def measure_report(examples: int, rounds: int, report: Callable[[str], None]) -> list[ReportRow]:
    """The rows. Raises ConfigError as above."""
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        run = write_run_of(Path(folder) / "runs" / "many", examples)
        page = Path(folder) / "report.html"
        start = time.monotonic()
        written = write_report([run], run.parent, page)
        found["making the page", "s"] = [time.monotonic() - start]
        sizes = [Path(file).stat().st_size for file in written.files]
        found["the page", "MB"] = [written.bytes / 1e6]
        found["the files beside it", "MB"] = [sum(sizes) / 1e6]
        for number in range(1, rounds + 1):
            report(f"[{number}/{rounds}]")
            for key, value in _round(browser, page).items():
                found.setdefault(key, []).append(value)
    return [
        ReportRow(what=what, unit=unit, value=median(values), low=min(values), high=max(values), rounds=len(values))
        for (what, unit), values in found.items()
    ]


def _round(browser: "Browser", page: Path) -> dict[tuple[str, str], float]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    try:
        opened = context.new_page()
        opened.goto(page.as_uri(), wait_until="commit")
        opened.wait_for_selector("html[data-answers=loaded]", state="attached", timeout=120_000)
        return {
            ("first paint", "ms"): _paint(opened),
            ("every example is there", "ms"): float(opened.evaluate("performance.now()")),
            **{(what, "ms"): float(opened.evaluate(_CHANGE, list(change))) for what, change in _FILTERS.items()},
        }
    finally:
        context.close()


def _paint(page: "Page") -> float:
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def write_run_of(folder: Path, examples: int) -> Path:
    """An import of made-up judgments on this many prompts, of the size of AlpacaEval's. Gives its folder."""
    draw = random.Random(stable_seed("bench report"))
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5000)]

    def text(count: int) -> str:
        return " ".join(draw.choices(words, k=count))

    annotations = []
    for number in range(examples):
        prompt, reference = f"examples {number}: {text(_PROMPT_WORDS)}", text(_ANSWER_WORDS)
        answers = {model: text(_ANSWER_WORDS) for model in _MODELS}
        annotations += [_annotation(model, prompt, answers[model], reference, draw) for model in _MODELS]
    rows = [_row(annotation) for annotation in annotations]
    board = build_table(
        rows,
        baseline=_MODELS[0],
        judge={SUITE: "made up"},
        title=f"{examples} examples",
        versions={},
        metrics={(SUITE, "win_rate"): METRICS["win_rate"]},
    )
    write_records(folder / ANNOTATIONS_FILE, annotations)
    write_run(folder, rows, board, folder.parent / "leaderboards")
    return folder


def _annotation(model: str, prompt: str, answer: str, reference: str, draw: random.Random) -> Annotation:
    return Annotation(
        model=model,
        prompt_id=prompt_digest(prompt),
        instruction=prompt,
        output=answer,
        reference=reference,
        length=len(answer),
        reference_length=len(reference),
        identical=False,
        annotator="made up",
        preference=None if draw.random() < 0.01 else 1 + draw.random(),
    )


def _row(annotation: Annotation) -> ScoreRow:
    value = next(value for value in annotation.values() if value.metric == "win_rate")
    of = annotation.model
    return ScoreRow(suite=SUITE, arm=of, method=of, beta=0.0, learning_rate=0.0, seed=0, **value.model_dump())


def to_markdown(rows: Sequence[ReportRow], examples: int, machine: Machine) -> str:
    """The section of `leaderboards/performance.md`."""
    head = ("what", "median (lowest, highest)", "rounds")
    lines = [(row.what, f"{row.value:.1f} {row.unit} ({row.low:.1f}, {row.high:.1f})", str(row.rounds)) for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (head, (":---", "---:", "---:"), *lines))
    how = [
        measured_on(machine),
        f"{examples} made-up prompts of {_PROMPT_WORDS} words, two answers and a reference of {_ANSWER_WORDS} each, as "
        "an import; headless Chromium opens the page from disk, anew every round.",
        "First paint is the browser's first-contentful-paint. A filter's time goes from its change to the frame after "
        "the one that shows the result, so it holds up to a frame of waiting (17 ms).",
    ]
    return "\n\n".join(["## Report", table, "### How", bullets(how)]) + "\n"
