"""What steps that ask a judge share: opening it, and saying what came of it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter

from epa_bench.config.judge import ApiJudge, RecordedJudge
from epa_bench.core.digest import canonical_json
from epa_bench.core.files import write_json
from epa_bench.judges.asking import Judge, error_kind
from epa_bench.judges.open import open_judge
from epa_bench.steps.context import StepContext

_ASKED: TypeAdapter[ApiJudge | RecordedJudge] = TypeAdapter(ApiJudge | RecordedJudge)

SUMMARY = "summary.json"


def judge_of(context: StepContext) -> Judge:
    """The judge of a cell. Raises DataError for a recording that cannot be used."""
    hints = context.hints
    if context.config["judge"]["kind"] == "local":
        # Imported here: other judges do without torch.
        from epa_bench.steps.local_judge import local_judge

        return local_judge(context)
    return open_judge(
        _ASKED.validate_json(canonical_json(hints["judge"])), Path(hints["replies"]), Path(hints["ledger"])
    )


def asking(context: StepContext) -> FileLock:
    """One cell asks at a time, so that `concurrency` bounds the calls of all processes on this machine."""
    folder = Path(context.hints["replies"])
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "asking.lock")


def write_summary(context: StepContext, judge: Judge, models: Counter[str], errors: Iterable[str | None]) -> None:
    """Writes `summary.json`: who judged, and how many verdicts failed for which reason."""
    kinds = Counter(error_kind(error) for error in errors if error is not None)
    write_json(
        context.folder / SUMMARY,
        {"judge": judge.name, "models": dict(sorted(models.items())), "errors": dict(sorted(kinds.items()))},
    )
