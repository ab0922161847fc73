"""The only code that runs the alpaca-eval package: its own length-controlled win rate.

Importing that package sets the root logger's level, reads a `.env` file into the environment, warns, and fails for a
user without a name; its fit leaves a flag set in scikit-learn. All of it is put back.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epa_bench.core.errors import SuiteError


@dataclass(frozen=True, slots=True)
class OfficialFit:
    """What alpaca_eval's fit of one model says."""

    lc_win_rate: float
    """Percent."""

    C: float
    """Inverse strength of the L1 penalty that its cross-validation chose."""

    coefficients: tuple[float, float, float]
    """Of tanh(length), difficulty, and the model itself: a, c, b of `stats.length_controlled`."""


def official_length_controlled(
    preference_P: NDArray[np.float64],
    length_P: NDArray[np.int64],
    reference_length_P: NDArray[np.int64],
    index_P: NDArray[np.int64],
    df_gamed: Path,
) -> OfficialFit:
    """`alpaca_eval.metrics.get_length_controlled_winrate` (0.6.6) of one model's rows; P prompts.

    Preferences on the scale 1 to 2, NaN for none; lengths in characters. The canonical index is always given, as the
    package otherwise joins difficulties by row position; nothing is written (`save_weights_dir=None`) or downloaded.
    Raises SuiteError where the package cannot be imported.
    """
    # Only the lengths of the outputs count.
    frame = pd.DataFrame(
        {
            "preference": preference_P,
            "output_1": ["x" * int(length) for length in reference_length_P],
            "output_2": ["x" * int(length) for length in length_P],
            "index": index_P,
            "generator_1": "reference",
            "generator_2": "model",
        }
    )
    with _contained():
        glm = _module()
        fits: list[Any] = []
        fit, download = glm.fit_LogisticRegressionCV, glm.hf_hub_download

        def remember(*arguments: Any, **options: Any) -> Any:
            fits.append(fit(*arguments, **options))
            return fits[-1]

        glm.fit_LogisticRegressionCV, glm.hf_hub_download = remember, lambda **_: str(df_gamed)
        try:
            metrics = glm.get_length_controlled_winrate(
                frame, save_weights_dir=None, is_add_glm_preference_inplace=False, is_warn_extreme_changes=False
            )
        finally:
            glm.fit_LogisticRegressionCV, glm.hf_hub_download = fit, download
    a, c, b = (float(value) for value in fits[0].coef_[0])
    return OfficialFit(float(metrics["length_controlled_winrate"]), float(fits[0].C_[0]), (a, c, b))


def _module() -> Any:
    try:
        from alpaca_eval.metrics import glm_winrate  # type: ignore[import-untyped]
    except ImportError as error:
        raise SuiteError(
            f"alpaca-eval, which length control runs, cannot be imported ({error}); it needs setuptools below 82: "
            "install epa-bench's own requirements again"
        ) from error
    return glm_winrate


@contextmanager
def _contained() -> Iterator[None]:
    """Undoes what the package does to the process."""
    import sklearn  # type: ignore[import-untyped]

    environment, level = dict(os.environ), logging.getLogger().level
    # getpass.getuser() fails for a user id without an entry in the password file.
    os.environ.setdefault("USER", "epa-bench")
    try:
        with warnings.catch_warnings(), sklearn.config_context():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().setLevel(level)
        os.environ.clear()
        os.environ.update(environment)
