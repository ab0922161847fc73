"""A judge put to pairs that people compared, before it is trusted with anything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epa_bench.config.judge import ApiJudge, GoldJudge, LocalJudge, RecordedJudge
from epa_bench.config.load import load_sweep
from epa_bench.config.yaml12 import Document
from epa_bench.core.errors import ConfigError
from epa_bench.core.progress import SweepProgress
from epa_bench.execution.device import Device, resolve_device
from epa_bench.judges.asking import Judge, Tally, silent
from epa_bench.judges.cost import Estimate, dollars_of
from epa_bench.judges.endpoint import EndpointJudge
from epa_bench.judges.open import open_judge
from epa_bench.judges.rating import MatchItem, judge_matches
from epa_bench.judges.records import MatchVerdict
from epa_bench.pipeline.local_judge import LocalJudgeRecipe
from epa_bench.steps.context import StepContext
from epa_bench.suites.definitions import MtBenchSuite
from epa_bench.suites.judge_check import JudgeCheck, check_judge, pair_items
from epa_bench.suites.labelled_pairs import LabelledPair, read_labelled_pairs
from epa_bench.suites.means import Mean
from epa_bench.suites.mt_bench_sources import open_judge_templates
from epa_bench.suites.registry import Registry
from epa_bench.suites.sources import source_cache

_SUITE, _PROMPT = "mt_bench", "pair-v2"
"""MT-Bench's prompt for pairs without a reference: any judge that writes text can follow it."""

_FOLDER = "judge_check"
"""Inside output.folder: the replies, so that a check that was stopped goes on, and the ledger."""


@dataclass(frozen=True, slots=True)
class JudgeChecking:
    """A check about to be made."""

    config: ApiJudge | LocalJudge | RecordedJudge
    sets: dict[str, list[LabelledPair]]
    items: list[MatchItem]
    """Of all sets, one after the other."""

    judge: Judge

    def estimate(self) -> Estimate | None:
        """What asking would take; None for a recorded judge, which is not asked."""
        questions = [question for item in self.items for question in (item.straight, item.swapped)]
        return self.judge.estimate(questions) if isinstance(self.judge, EndpointJudge) else None

    def run(self) -> list[dict[str, Any]]:
        """One row a set. Raises JudgeError where the judge cannot be asked or its budget is spent."""
        with SweepProgress(1, 0) as progress:
            progress.started(_FOLDER, f"{2 * len(self.items)} questions to {self.judge.name}")
            verdicts, tally = judge_matches(
                self.items, self.judge, lambda done, total: progress.moved(_FOLDER, done, total)
            )
            progress.finished(_FOLDER)
        rows, rest = [], verdicts
        for name, pairs in self.sets.items():
            own, rest = rest[: len(pairs)], rest[len(pairs) :]
            rows.append({"set": name, **_row(check_judge(pairs, own)), **self._cost(own), **self._stated(tally)})
        return rows

    def _cost(self, verdicts: Sequence[MatchVerdict]) -> dict[str, Any]:
        """Of all replies, those of earlier runs included: what judging these pairs takes."""
        usages = [game.reply.usage for verdict in verdicts for game in verdict.games if game.reply is not None]
        prices = self.config.prices if isinstance(self.config, ApiJudge) else None
        return {
            "input_tokens": sum(usage.input_tokens for usage in usages),
            "output_tokens": sum(usage.output_tokens for usage in usages),
            "dollars": None if prices is None else sum(dollars_of(usage, prices) for usage in usages),
        }

    def _stated(self, tally: Tally) -> dict[str, str]:
        return {
            "judge": f"{self.judge.name}, asked with MT-Bench's {_PROMPT} in both orders",
            "calls": f"{tally.asked} asked, {tally.cached} known, {tally.retries} retries",
            "intervals": "95 %, over instructions",
        }


def open_judge_check(
    files: Sequence[Path], document: Document, overrides: Sequence[str], suites: Registry, mirror: Path | None
) -> JudgeChecking:
    """The `judge` section of a sweep, `--set` overrides merged in, and the pairs of some files.

    Raises ConfigError for the sweep or a judge that cannot be asked, DataError for the files, SuiteError where
    MT-Bench's judge prompts are not there.
    """
    sweep = load_sweep(document, overrides).config
    if isinstance(sweep.judge, GoldJudge):
        raise ConfigError(
            "the gold judge knows the embedded task only. Name the judge to check: --set judge.kind=api "
            "--set judge.model=NAME --set judge.base_url=URL, or --set judge.kind=local --set judge.path=FOLDER, or "
            "--sweep with a sweep whose judge it is"
        )
    suite = suites.load(_SUITE, {})
    assert isinstance(suite, MtBenchSuite)
    template = open_judge_templates(_SUITE, suite, source_cache(mirror))[_PROMPT]
    sets = _read(files)
    items = [item for name, pairs in sets.items() for item in pair_items(name, pairs, template)]
    folder = Path(sweep.output.folder) / _FOLDER
    return JudgeChecking(sweep.judge, sets, items, _open(sweep.judge, folder, resolve_device(sweep.execution.device)))


def _open(judge: ApiJudge | LocalJudge | RecordedJudge, folder: Path, device: Device) -> Judge:
    replies = folder / "replies"
    if not isinstance(judge, LocalJudge):
        return open_judge(judge, replies, folder / "ledger")
    # Imported here: other judges do without torch.
    from epa_bench.steps.local_judge import local_judge

    recipe = LocalJudgeRecipe(judge, device)
    hints = {"judge": judge.model_dump(mode="json"), "replies": str(replies), **recipe.hints}
    return local_judge(StepContext({"judge": recipe.config}, hints, {}, folder, device, silent))


def _read(files: Sequence[Path]) -> dict[str, list[LabelledPair]]:
    sets: dict[str, list[LabelledPair]] = {}
    for path in files:
        if path.stem in sets:
            raise ConfigError(f"{path}: another file is called {path.stem} too; a set goes by its file's name")
        sets[path.stem] = read_labelled_pairs(path)
    return sets


def _row(check: JudgeCheck) -> dict[str, Any]:
    """Flat, `low` and `high` being the agreement's; every interval stands below in full."""

    def value(mean: Mean | None) -> float | None:
        return mean.value if mean else None

    return {
        "n": check.n,
        "n_errors": sum(check.errors.values()),
        "agreement": value(check.agreement),
        "low": check.agreement.low if check.agreement else None,
        "high": check.agreement.high if check.agreement else None,
        "in_both": value(check.agreement_in_both),
        "consistency": value(check.consistency),
        "first_wins": value(check.first_wins),
        "ties": check.ties,
        "length_bias": value(check.length_bias),
        "length_only": check.length_baseline,
        "details": check.model_dump(mode="json"),
    }
