"""Where alpaca_eval's annotations are: `results/MODEL/JUDGE/annotations.json`, or compact files `MODEL.jsonl.gz`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.errors import DataError

ANNOTATIONS, OUTPUTS = "annotations.json", "model_outputs.json"
COMPACT = ".jsonl.gz"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where one model's annotations are."""

    model: str
    annotations: tuple[Path, ...]
    """Several where several judges have a folder."""

    outputs: Path | None


def find_models(places: Sequence[Path]) -> tuple[list[ModelFiles], list[str]]:
    """The models below some places, and the names of those that have answers and no annotations.

    A place is a folder of results, of one model or of one judge, an annotations.json, a compact file or a folder of
    compact files. Raises DataError where a place holds no annotations, or a model is found twice.
    """
    found: dict[str, ModelFiles] = {}
    unjudged: list[str] = []
    for place in places:
        here, without = _models_at(place.resolve())
        if not here:
            raise DataError(
                f"{place}: expected {ANNOTATIONS} in alpaca_eval's layout (MODEL/JUDGE/{ANNOTATIONS}) or compact "
                f"annotations (MODEL{COMPACT}), found "
                + (f"{OUTPUTS} alone: these answers were not judged" if without else "neither")
            )
        for files in here:
            if files.model in found:
                raise DataError(
                    f"two sets of annotations are called {files.model}: {found[files.model].annotations[0]} and "
                    f"{files.annotations[0]}; import one of them, or under another --name"
                )
            found[files.model] = files
        unjudged += without
    return list(found.values()), unjudged


def _models_at(place: Path) -> tuple[list[ModelFiles], list[str]]:
    if place.is_file() and place.name.endswith(COMPACT):
        return [ModelFiles(place.name.removesuffix(COMPACT), (place,), None)], []
    if place.is_file() and place.name == ANNOTATIONS:
        place = place.parent
    if (place / ANNOTATIONS).is_file():
        return [_model(place.parent, [place / ANNOTATIONS])], []
    judged = sorted(place.glob(f"*/{ANNOTATIONS}"))
    if judged:
        return [_model(place, judged)], []
    models = [ModelFiles(path.name.removesuffix(COMPACT), (path,), None) for path in sorted(place.glob(f"*{COMPACT}"))]
    unjudged = [place.name] if (place / OUTPUTS).is_file() else []
    for folder in sorted(path for path in place.glob("*") if path.is_dir()):
        judged = sorted(folder.glob(f"*/{ANNOTATIONS}"))
        if judged:
            models.append(_model(folder, judged))
        elif (folder / OUTPUTS).is_file():
            unjudged.append(folder.name)
    return models, unjudged


def _model(folder: Path, annotations: Sequence[Path]) -> ModelFiles:
    outputs = folder / OUTPUTS
    return ModelFiles(folder.name, tuple(annotations), outputs if outputs.is_file() else None)
