"""The rows of a pool file to label next, as a file that says why."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from epa_bench.acquisition.acquire import Acquisition, acquire
from epa_bench.acquisition.model import AcquisitionModel, VapSettings
from epa_bench.acquisition.pairs import PairPolicy
from epa_bench.acquisition.representations import get_representation
from epa_bench.acquisition.text import TextClassifier
from epa_bench.core.code import package_versions
from epa_bench.core.digest import file_sha256
from epa_bench.core.errors import CheckpointError, ConfigError
from epa_bench.core.files import atomic_write_text
from epa_bench.core.records import Finite, Record
from epa_bench.data.chat import Renderer
from epa_bench.data.pool import PairRow, Pool, read_pool
from epa_bench.models.checkpoint import load_model, load_tokenizer
from epa_bench.models.classifier import load_classifier, load_text_tokenizer
from epa_bench.models.identity import content_digest
from epa_bench.steps import loading  # noqa: F401 - sets verbosity

_PACKAGES = ("epa-bench", "torch", "transformers", "scikit-learn", "numpy")


class Asked(Record):
    """Models in whose view rows are chosen."""

    model: Path | None
    """A classifier, or a policy; None where rows are chosen at random."""

    reference: Path | None
    """What the policy was trained from."""

    beta: Finite
    """Of the implicit reward."""

    template: Literal["chat", "plain"]
    max_length: int


def acquire_from_files(
    pool_file: Path,
    labelled_files: Sequence[Path],
    to: Path,
    asked: Asked,
    *,
    budget: int,
    seed: int,
    representation: str,
    selector: str | None,
    vap: VapSettings,
    device: str,
) -> Acquisition:
    """Writes the chosen rows to `to` as JSON lines, in the order of selection, each with its columns and `acquisition`.

    Raises DataError, CheckpointError, ConfigError or StoreError.
    """
    pool = read_pool(pool_file)
    labelled = {row.key for file in labelled_files for row in read_pool(file)}
    needs_model = get_representation(representation).of is not None
    model = _open(pool, asked, device) if needs_model else None
    found = acquire(pool, model, labelled, budget, seed, representation=representation, selector=selector, vap=vap)
    why: dict[str, Any] = {
        **found.model_dump(mode="json", exclude={"chosen"}),
        "pool_sha256": file_sha256(pool_file),
        "versions": package_versions(_PACKAGES),
    }
    if needs_model:
        folders = {"model": asked.model, "reference": asked.reference}
        why |= {name: content_digest(folder) for name, folder in folders.items() if folder is not None}
    if representation == "vap":
        why["vap"] = {"layer": vap.layer, "iterations": vap.iterations, "xi": vap.xi, "unit": vap.unit}
    lines = []
    for chosen in found.chosen:
        columns = pool[chosen.row].columns or {}
        lines.append(json.dumps({**columns, "acquisition": {**chosen.model_dump(), **why}}, ensure_ascii=False) + "\n")
    atomic_write_text(to, "".join(lines))
    return found


def _open(pool: Pool, asked: Asked, device: str) -> AcquisitionModel[Any]:
    """The models that the kind of the rows asks for."""
    model = _folder(asked.model, "--model")
    if not isinstance(pool[0], PairRow):
        if asked.reference is not None:
            raise ConfigError("--reference is for pairs of responses, and the pool holds texts; leave it out")
        return TextClassifier(load_classifier(model, device=device), load_text_tokenizer(model), asked.max_length)
    reference = _folder(asked.reference, "--reference")
    renderer = Renderer(load_tokenizer(model), template=asked.template, max_length=asked.max_length)
    return PairPolicy(
        load_model(model, dtype="float32", device=device),
        load_model(reference, dtype="float32", device=device),
        cache(renderer.encode),
        asked.beta,
    )


def _folder(path: Path | None, option: str) -> Path:
    if path is None:
        raise ConfigError(
            f"expected {option}, a checkpoint's folder: this representation is a model's view of the rows"
        )
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint folder at {path}; name another with {option}")
    return path
