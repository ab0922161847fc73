"""The models of an import of AlpacaEval annotations: what counts of each, what was left out, and its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.errors import DataError
from epa_bench.core.records import Finite, Record
from epa_bench.suites.alpaca_eval import average_length, canonical_index, win_rates
from epa_bench.suites.alpaca_eval_files import read_annotations, read_output_lengths
from epa_bench.suites.alpaca_eval_layout import ModelFiles
from epa_bench.suites.alpaca_eval_lc import Gamed, LengthControlled
from epa_bench.suites.annotations import (
    Annotation,
    Duplicates,
    Located,
    Missing,
    check_one_judge,
    check_one_reference,
    of_judge,
    without_duplicates,
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What to do where the files leave a choice."""

    judge: str | None = None
    duplicates: Duplicates = "refuse"
    missing: Missing = "count"
    baseline: str | None = None
    """Model that the others are compared with; None takes the first."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model's annotations that count."""

    name: str
    annotations: tuple[Annotation, ...]
    missing: tuple[str, ...]
    """Ids of the prompts without a row."""

    n_duplicates: int
    """Rows that the choice among duplicates left out."""

    n_other_judges: int
    """Rows that the choice of a judge left out."""

    outputs: Path | None
    """The model's answers, judged or not."""

    @property
    def preferences(self) -> list[float]:
        return [row.preference for row in self.annotations if row.preference is not None]

    def average_length(self) -> int:
        """Of all its answers where their file is there, as in alpaca_eval, else of the judged ones."""
        return average_length(
            read_output_lengths(self.outputs) if self.outputs else [row.length for row in self.annotations]
        )


class ImportedModel(Record):
    """One line a model, under alpaca_eval's names; win rates and errors in percent."""

    model: str
    judge: str
    n_total: int
    n_wins: int
    n_wins_base: int
    n_draws: int
    win_rate: Finite
    standard_error: Finite | None
    discrete_win_rate: Finite
    avg_length: int
    n_missing: int
    n_unparsed: int
    n_duplicates: int


class ImportedModelWithLc(ImportedModel):
    """Where df_gamed was given."""

    lc_win_rate: Finite | None
    lc_official: bool
    """Whether the official df_gamed was used; otherwise the number is not AlpacaEval's LC."""

    lc_low: Finite | None
    lc_high: Finite | None
    lc_bootstrap_se: Finite | None
    """Of a bootstrap that refits, as is the 95 % interval. alpaca_eval's `lc_standard_error` is about half of it."""

    lc_reason: str | None
    """Why there is no length-controlled win rate."""


def gather(found: Sequence[ModelFiles], choices: Choices) -> list[Model]:
    """Reads the files and settles judges, duplicates, references and missing prompts. Raises DataError."""
    read = {files.model: read_annotations(files) for files in found}
    if choices.judge is None:
        check_one_judge(row for rows in read.values() for row in rows)
    judged = {model: rows if choices.judge is None else of_judge(rows, choices.judge) for model, rows in read.items()}
    kept = {model: without_duplicates(rows, choices.duplicates) for model, rows in judged.items()}
    check_one_reference(row for rows in kept.values() for row in rows)
    expected = _expected(kept)
    models = []
    for files in found:
        annotations = tuple(row.annotation for row in kept[files.model])
        present = {row.prompt_id for row in annotations}
        model = Model(
            name=files.model,
            annotations=annotations,
            missing=tuple(prompt for prompt in expected if prompt not in present),
            n_duplicates=len(judged[files.model]) - len(annotations),
            n_other_judges=len(read[files.model]) - len(judged[files.model]),
            outputs=files.outputs,
        )
        _check(model, choices.missing, len(expected))
        models.append(model)
    return models


def _expected(models: Mapping[str, Sequence[Located]]) -> tuple[str, ...]:
    """The prompts a model should have: AlpacaEval's 805 where all are among them, else those that any model has."""
    union = dict.fromkeys(row.annotation.prompt_id for rows in models.values() for row in rows)
    return tuple(canonical_index()) if all(prompt in canonical_index() for prompt in union) else tuple(union)


def _check(model: Model, missing: Missing, n_expected: int) -> None:
    if model.missing and missing == "refuse":
        raise DataError(
            f"{model.name}: {len(model.missing)} of {n_expected} prompts have no row; annotate them, or choose "
            "--missing count, which counts them as failed"
        )
    if not model.preferences:
        raise DataError(f"{model.name}: no row has a preference")


def line(model: Model, judge: str) -> ImportedModel:
    """The model's figures."""
    figures = win_rates(model.preferences)
    return ImportedModel(
        model=model.name,
        judge=judge,
        n_total=figures.n_total,
        n_wins=figures.n_wins,
        n_wins_base=figures.n_wins_base,
        n_draws=figures.n_draws,
        win_rate=figures.win_rate,
        standard_error=figures.standard_error,
        discrete_win_rate=figures.discrete_win_rate,
        avg_length=model.average_length(),
        n_missing=len(model.missing),
        n_unparsed=len(model.annotations) - figures.n_total,
        n_duplicates=model.n_duplicates,
    )


def line_with_lc(model: Model, judge: str, gamed: Gamed, controlled: LengthControlled | str) -> ImportedModelWithLc:
    """The model's figures with its length-controlled win rate."""
    lc = None if isinstance(controlled, str) else controlled
    return ImportedModelWithLc(
        **line(model, judge).model_dump(),
        lc_win_rate=lc.lc_win_rate if lc else None,
        lc_official=gamed.official,
        lc_low=lc.interval.low if lc else None,
        lc_high=lc.interval.high if lc else None,
        lc_bootstrap_se=lc.interval.se if lc else None,
        lc_reason=controlled if isinstance(controlled, str) else None,
    )


def for_people(line: ImportedModel) -> dict[str, str]:
    """A line of a table on a terminal. A length-controlled win rate is called LC only where the official df_gamed was
    used."""
    error = "none" if line.standard_error is None else f"{line.standard_error:.2f}"
    shown = {
        "model": line.model,
        "n": str(line.n_total),
        "missing": str(line.n_missing + line.n_unparsed),
        "wins": str(line.n_wins),
        "draws": str(line.n_draws),
        "win rate (%)": f"{line.win_rate:.2f}",
        "SE": error,
        "discrete (%)": f"{line.discrete_win_rate:.2f}",
        "length": str(line.avg_length),
    }
    if isinstance(line, ImportedModelWithLc):
        name = "LC win rate (%)" if line.lc_official else "length-controlled, unofficial (%)"
        rate = "none" if line.lc_win_rate is None else f"{line.lc_win_rate:.2f} ({line.lc_low:.2f}, {line.lc_high:.2f})"
        shown[name] = rate
    return shown
