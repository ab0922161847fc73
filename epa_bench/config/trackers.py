"""The trackers that transformers' Trainer reports to, and the package each needs."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Literal

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio", "comet_ml", "clearml", "swanlab"]

PACKAGES: Mapping[Tracker, str] = MappingProxyType(
    {
        "tensorboard": "tensorboard",
        "wandb": "wandb",
        "mlflow": "mlflow",
        "trackio": "trackio",
        "comet_ml": "comet-ml",
        "clearml": "clearml",
        "swanlab": "swanlab",
    }
)
"""Name -> what pip installs; the name is also the module's."""


def missing_packages(trackers: Iterable[Tracker]) -> list[str]:
    """What pip must install before these trackers can be used. Imports none of them."""
    return [PACKAGES[tracker] for tracker in trackers if find_spec(tracker) is None]
