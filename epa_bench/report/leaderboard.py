"""Every score and margin of the tables, to be sorted and filtered, each with the cells it was made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from epa_bench.leaderboard.board import ArmResult, MetricTable
from epa_bench.leaderboard.build import prompt_values
from epa_bench.leaderboard.cells import Verdict, counts, margin_cells, metric_name, score_cell, verdict
from epa_bench.leaderboard.display import legend
from epa_bench.pipeline.explain import Link, chain
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import NothingToShow, Section, each_run

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell of the table: its text, and what it is sorted by; None sorts last."""

    text: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """An arm on one metric."""

    run: str
    metric: str
    suite: str
    arm: str
    method: str
    model: str
    data: str
    beta: float
    learning_rate: float
    score: Shown
    margin: Shown
    mde: Shown
    against: str
    n: str
    n_failed: int
    seeds: tuple[int, ...]
    verdict: Verdict

    origin: Mapping[str, Any]
    """What the page's script needs to show a number's provenance, and scores of single seeds."""


@dataclass(frozen=True, slots=True)
class Leaderboards:
    """What the template reads."""

    lines: tuple[Line, ...]
    legend: tuple[str, ...]

    choices: Mapping[str, tuple[str, ...]]
    """Field of a line -> values that it can be filtered by."""

    cells: tuple[Mapping[str, Any], ...]
    """A run: digest -> what its manifest tells of the cell."""


def leaderboard(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    lines = tuple(line for number, run in enumerate(runs) for line in _lines(number, run))
    provenance, missing = each_run(runs, _provenance)
    known = {run: links for found in provenance for run, links in found.items()}
    choices = {
        "run": _values(line.run for line in lines),
        "suite": _values(line.suite for line in lines),
        "method": _values(line.method for line in lines),
        "model": _values(line.model for line in lines),
        "data": _values(line.data for line in lines),
        "beta": _values(f"{line.beta:g}" for line in lines),
        "seed": _values(str(seed) for line in lines for seed in line.seeds),
    }
    data = Leaderboards(
        lines=lines,
        legend=legend(runs[0].board.level),
        choices={name: values for name, values in choices.items() if len(values) > 1 or name not in ("run", "suite")},
        cells=tuple(known.get(run.name, {}) for run in runs),
    )
    return Section("leaderboard", "Leaderboard", "leaderboard.html", data, missing)


def _values(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _lines(number: int, run: LoadedRun) -> Iterator[Line]:
    model, data = model_of(run), data_of(run)
    roots = {(each.suite, each.arm, each.seed): list(each.cells) for each in run.results()}
    for table in run.board.tables:
        by_seed = _by_seed(run, table)
        for result in table.arms:
            figures, mde, over = margin_cells(result.margin, table.info)
            origin = {
                "run": number,
                "suite": table.suite,
                "metric": table.metric,
                "arm": result.arm,
                "judge": table.judge,
                "better": table.info.better,
                "roots": {seed: roots.get((table.suite, result.arm, seed), []) for seed in result.score.seeds},
                "bySeed": {seed: by_seed.get((result.arm, seed)) for seed in result.score.seeds},
                "score": result.score.model_dump(mode="json"),
                "margin": result.margin.model_dump(mode="json") if result.margin else None,
                "failed": result.n_failed,
            }
            yield Line(
                run=run.name,
                metric=metric_name(table),
                suite=table.suite,
                arm=result.arm,
                method=result.method,
                model=model,
                data=data,
                beta=result.beta,
                learning_rate=result.learning_rate,
                score=Shown(score_cell(result.score, table.info), result.score.value),
                margin=Shown(_margin_text(result, figures), result.margin.value if result.margin else None),
                mde=Shown(mde, result.margin.mde if result.margin else None),
                against=(result.margin.against or "none") if result.margin else "",
                n=over if result.margin and result.margin.value is not None else counts(result.score),
                n_failed=result.n_failed,
                seeds=result.score.seeds,
                verdict=verdict(result.margin, table.info),
                origin=origin,
            )


def _margin_text(result: ArmResult, figures: str) -> str:
    return "baseline" if result.margin is None else figures


def _by_seed(run: LoadedRun, table: MetricTable) -> dict[tuple[str, int], tuple[str, int]]:
    """(arm, seed) -> the seed's score as it is shown and the prompts in it: of those that have a value."""
    if run.rows is None:
        return {}
    own = run.rows[(run.rows["suite"] == table.suite) & (run.rows["metric"] == table.metric)]
    if own.empty:
        return {}
    values = prompt_values(own)
    info = table.info
    return {
        (str(arm), int(seed)): (f"{mean * info.scale:z.{info.digits}f}" if n else "none", int(n))
        for (arm, seed), mean, n in zip(
            values.index, values.mean(axis="columns"), values.count(axis="columns"), strict=True
        )
    }


def _provenance(run: LoadedRun) -> dict[str, dict[str, Any]]:
    if run.folder is None or run.listed is None:
        raise NothingToShow("its numbers were made of no cells here, so their provenance is what the notes say")
    links = chain(run.folder, run.listed, run.results(), {})
    return {run.name: {digest: _told(link) for digest, link in links.items()}}


def _told(link: Link) -> dict[str, Any]:
    return link.model_dump(mode="json", include={"step", "label", "config", "versions", "inputs"})


def model_of(run: LoadedRun) -> str:
    """The reference that the run's checkpoints started from."""
    reference = (run.sweep or {}).get("reference")
    if reference is None:
        return NOT_STATED
    if reference["kind"] == "scratch":
        model = reference["model"]
        return f"scratch, {model['num_hidden_layers']} layers of {model['hidden_size']}"
    further = reference.get("sft")
    return PurePath(reference["path"]).name + (f" + {further['objective']}" if further else "")


def data_of(run: LoadedRun) -> str:
    """What the run's checkpoints were trained on."""
    data = (run.sweep or {}).get("data")
    if data is None:
        return NOT_STATED
    return "embedded task" if data["kind"] == "embedded" else PurePath(data["train"]).name
