"""The model card of a trained checkpoint: what it is and how it came about, taken from the training itself.

It depends on the checkpoint's recipe, data and result alone, so that a checkpoint made twice has the same bytes. What
is known only where it is published (sweep, arm, commit, the reference's name on the hub) is added then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from epa_bench import __version__
from epa_bench.core.code import package_versions
from epa_bench.core.records import Preference
from epa_bench.data.plan import data_fingerprint
from epa_bench.losses.table import get_loss

CARD_FILE = "README.md"

_PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")
_REFERENCE = {
    None: "the files of the checkpoint that was given",
    "reference": "the recipe of the checkpoint that the sweep trained from scratch",
    "sft": "the recipe of the checkpoint that the sweep trained further from a given one",
}
"""By the step that made it."""
_SOURCE = re.compile(r"(?P<name>.*), (?:row \d+|prompt .*)", re.DOTALL)
_HUB_DATA = re.compile(r"[\w.-]+/[\w.-]+\[[^]/]+\]")


@dataclass(frozen=True, slots=True)
class Trained:
    """What a card says of a training."""

    arm: Mapping[str, Any]
    """Recipe of the arm: loss, beta, learning rate, negatives."""

    settings: Mapping[str, Any]
    """The sweep's `training` section, as in the recipe."""

    seed: int
    reference: str
    """Digest of the reference."""

    reference_step: str | None
    """The step of the sweep that made the reference; None for a checkpoint that was given."""

    preferences: Sequence[Preference]

    result: Mapping[str, float]
    """Loss and metrics of the last optimizer step."""

    validation: Mapping[str, Any] | None
    """The evaluation whose weights these are, where the best one was kept."""


def write_card(folder: Path, training: Trained) -> None:
    """Writes `README.md` into the checkpoint's folder."""
    (folder / CARD_FILE).write_text(str(_card(training)), encoding="utf-8", newline="\n")


def published_card(folder: Path, provenance: Mapping[str, str], base_model: str | None) -> str:
    """The checkpoint's card with a section on where it comes from, and the hub name of its reference if it has one."""
    card = ModelCard.load(folder / CARD_FILE)
    if base_model is not None:
        card.data.base_model = base_model
    return f"{str(card).rstrip()}\n\n{_section('Provenance', provenance)}"


def _card(training: Trained) -> ModelCard:
    arm, spec = training.arm, get_loss(training.arm["loss"])
    adapter = "lora" in training.settings
    data = ModelCardData(
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["epa-bench", "preference-optimization", spec.name],
    )
    options = spec.resolved(arm.get("options", {}))
    method = {
        "loss": f"{spec.name}: {spec.summary}",
        "source": spec.source,
        "positive : strong : weak negatives": f"1 : {arm['strong']} : {arm['weak']}",
        **{name.replace("_", " "): arm[name] for name in ("weak_source", "weak_pool", "weak_prompt") if name in arm},
        "beta": arm["beta"],
        "learning rate": arm["learning_rate"],
        "weight of the added NLL": arm["nll"],
        **options,
    }
    data_seed = training.settings["data_seed"]
    seeds = {"seed": training.seed, "data seed": training.seed if data_seed is None else data_seed}
    settings = {name: value for name, value in training.settings.items() if name != "data_seed"}
    data_set = {
        "name": ", ".join(_source_names(training.preferences)),
        "rows": len(training.preferences),
        "fingerprint": data_fingerprint(training.preferences),
    }
    versions = {"epa-bench": __version__, **package_versions([*_PACKAGES, *(["peft"] if adapter else [])])}
    added = f" + {arm['nll']:g} NLL" if arm["nll"] else ""
    title = f"# {spec.name}{added}, 1:{arm['strong']}:{arm['weak']}, beta {arm['beta']:g}, seed {training.seed}\n"
    sections = [
        f"---\n{data.to_yaml()}\n---\n\n{title}",
        "Trained by epa-bench, which wrote this card from the training's own records.\n",
        _section("Method", method),
        _section("Training", {**seeds, **settings}),
        _section("Data", data_set),
        _section("Reference", {"digest": training.reference, "of": _REFERENCE[training.reference_step]}),
        _section("Result at the last step", training.result),
    ]
    if training.validation is not None:
        sections.append(_section("Kept by held-out rows", training.validation))
    return ModelCard("\n".join([*sections, _section("Versions", versions)]))


def _section(title: str, values: Mapping[str, Any]) -> str:
    rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in values.items())
    return f"## {title}\n\n| | |\n| :--- | :--- |\n{rows}"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _source_names(preferences: Iterable[Preference]) -> list[str]:
    """Names of the files or hub data sets, without the folders of whoever's machine it was."""
    found = (_SOURCE.fullmatch(preference.source) for preference in preferences)
    names = dict.fromkeys(match["name"] for match in found if match is not None)
    return list(dict.fromkeys(name if _HUB_DATA.fullmatch(name) else Path(name).name for name in names))
