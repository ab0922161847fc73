"""A label curve from what a user asks for."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from epa_bench.core.errors import ConfigError
from epa_bench.studies import label_curve_pairs, label_curve_text
from epa_bench.studies.label_curve import CurveSettings
from epa_bench.studies.label_curve_estimates import LabelCurve, run_label_curve


def study_label_curve(
    task: Literal["text", "pairs"],
    settings: CurveSettings,
    *,
    pool: Path | None,
    test: Path | None,
    encoder: Path | None,
    device: str,
    say: Callable[[str], None],
) -> LabelCurve:
    """`text`: of the files, or of the generated task; `pairs`: of the embedded task.

    Raises ConfigError for options that do not go together, DataError and CheckpointError for what is wrong with the
    files.
    """
    if (pool is None) != (test is None):
        raise ConfigError("expected --pool and --test together: held-out rows must not be in the pool")
    # Another number of threads rounds differently, and a table must not depend on the number of cores.
    torch.set_num_threads(1)
    if task == "text":
        if pool is not None and test is not None:
            texts = label_curve_text.task_of_files(pool, test, encoder, device, say)
        else:
            texts = label_curve_text.generated_task(encoder, device)
        return run_label_curve(texts, label_curve_text.ARMS, settings, say)
    if pool is not None or encoder is not None:
        raise ConfigError("--pool, --test and --encoder are for `text`; `pairs` runs on the embedded task")
    with tempfile.TemporaryDirectory(prefix="epa-bench-") as folder:
        pairs = label_curve_pairs.embedded_task(label_curve_pairs.PairWorld(), Path(folder), device, say)
    return run_label_curve(pairs, label_curve_pairs.ARMS, settings, say)
