"""Reporting a training to trackers. Nothing of it decides a result, so all of it comes as hints of the cell."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def tracking_arguments(hints: Mapping[str, Any]) -> dict[str, Any]:
    """TrainingArguments for the hints `report_to`, `run_name` and `tracking_folder`; none where nothing is tracked.

    TensorBoard writes below the tracking folder: what lies in a cell must be the same whoever watched. The other
    trackers take their project and address from their own environment variables.
    """
    if not hints.get("report_to"):
        return {}
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(hints["tracking_folder"], hints["run_name"]).absolute())
    return {"report_to": list(hints["report_to"]), "run_name": hints["run_name"]}
