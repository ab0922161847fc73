"""Where the arms of runs belong: model, data, beta and learning rate, by short names that differ where those do."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

from epa_bench.config.grid import Arm, expand
from epa_bench.config.load import load_sweep
from epa_bench.config.schema import Data, FilesData, Reference, ScratchReference, Sweep
from epa_bench.config.yaml12 import read_document
from epa_bench.core.digest import canonical_json
from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.groups import FACTORS, GroupedBoard, Place

_OWN_FACTORS = ("beta", "learning_rate")
"""What of an arm's recipe has a column of its own."""

_Key = TypeVar("_Key", bound=Hashable)


def read_sweep(folder: Path) -> Sweep:
    """The resolved sweep of a run. Raises ConfigError for an import, which has none, and for several references."""
    path = folder / "sweep.yaml"
    if not path.exists():
        raise ConfigError(
            f"no sweep.yaml in {folder}: expected the folder of a sweep's run. An import names no model, data and "
            "beta; compare it without --by"
        )
    sweep = load_sweep(read_document(path)).config
    if sweep.references is not None:
        raise ConfigError(f"{folder} compares several references, and its own tables do so; leave it out")
    return sweep


def places_of(sweeps: Mapping[str, Sweep], baseline: str) -> dict[str, Place]:
    """Of every arm, called RUN/ARM. Raises ConfigError where the baseline method is not the same in all runs."""
    models = told_apart(
        {run: _model_name(sweep.reference) for run, sweep in sweeps.items()},
        {run: sweep.reference.model_dump(mode="json") for run, sweep in sweeps.items()},
    )
    data = told_apart(
        {run: _data_name(sweep.data) for run, sweep in sweeps.items()},
        {run: sweep.data.model_dump(mode="json") for run, sweep in sweeps.items()},
    )
    arms = {f"{run}/{arm.name}": (run, arm) for run, sweep in sweeps.items() for arm in expand(sweep)}
    methods = told_apart(
        {name: arm.method for name, (_, arm) in arms.items()}, {name: _recipe(arm) for name, (_, arm) in arms.items()}
    )
    baselines = sorted({methods[name] for name, (_, arm) in arms.items() if arm.method == baseline})
    if baselines not in ([], [baseline]):
        raise ConfigError(
            f"{baseline} is not the same everywhere ({'; '.join(baselines)}), so margins against it do not stand in "
            "one table; leave a run out, or choose another --baseline"
        )
    return {
        name: Place(
            model=models[run],
            data=data[run],
            beta=arm.beta,
            learning_rate=arm.learning_rate,
            run=run,
            method=methods[name],
        )
        for name, (run, arm) in arms.items()
    }


def hidden_differences(sweeps: Mapping[str, Sweep], grouped: GroupedBoard) -> Iterator[str]:
    """Notes of what lines differ in beside their factors, and a reader would take for an effect of these."""
    for factor in FACTORS:
        by_column: dict[str, set[str]] = {}
        by_run: dict[str, set[str]] = {}
        for place in grouped.places.values():
            value = str(getattr(place, factor))
            by_column.setdefault(place.method, set()).add(value)
            by_run.setdefault(place.run, set()).add(value)
        if factor not in (*grouped.by, "run") and any(len(values) > 1 for values in by_column.values()):
            said = "; ".join(f"{run} {', '.join(sorted(values))}" for run, values in by_run.items())
            yield f"Lines DIFFER IN {factor} too, which no column shows: {said}."
    trainings = told_apart(dict.fromkeys(sweeps, "training"), {run: _training(sweep) for run, sweep in sweeps.items()})
    if len(set(trainings.values())) > 1:
        said = "; ".join(f"{run}: {training}" for run, training in trainings.items())
        yield f"Runs are TRAINED DIFFERENTLY, which no column shows: {said}."


def _training(sweep: Sweep) -> Mapping[str, Any]:
    """What decides weights, of any split of the step."""
    split = ("per_device_train_batch_size", "gradient_accumulation_steps")
    recipe = {name: value for name, value in sweep.training.recipe().items() if name not in split}
    return {"groups_per_step": sweep.training.groups_per_step, **recipe}


def told_apart(names: Mapping[_Key, str], settings: Mapping[_Key, Mapping[str, Any]]) -> dict[_Key, str]:
    """The names, and behind each that stands for different settings, those in which they differ.

    `settings`: nested as in JSON; a key that one of them does not have is `none`.
    """
    leaves = {key: dict(_leaves(of_key)) for key, of_key in settings.items()}
    same_name: dict[str, list[_Key]] = {}
    for key, name in names.items():
        same_name.setdefault(name, []).append(key)
    found = {}
    for name, keys in same_name.items():
        known = dict.fromkeys(leaf for key in keys for leaf in leaves[key])
        differing = [leaf for leaf in known if len({leaves[key].get(leaf, "none") for key in keys}) > 1]
        for key in keys:
            said = ", ".join(f"{leaf} {leaves[key].get(leaf, 'none')}" for leaf in differing)
            found[key] = f"{name} ({said})" if said else name
    return found


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value if isinstance(value, str) else canonical_json(value)


def _model_name(reference: Reference) -> str:
    """The last part of a checkpoint's path, and what it was trained further by; of a model from scratch its size."""
    if isinstance(reference, ScratchReference):
        model = reference.model
        return f"scratch Llama, {model.num_hidden_layers} layers of {model.hidden_size}"
    name = PurePath(reference.path).name
    return name if reference.sft is None else f"{name} + {reference.sft.objective}"


def _data_name(data: Data) -> str:
    return PurePath(data.train).name if isinstance(data, FilesData) else "embedded"


def _recipe(arm: Arm) -> Mapping[str, Any]:
    return {name: value for name, value in arm.recipe().items() if name not in _OWN_FACTORS}


def own_baseline(sweeps: Sequence[Sweep]) -> str:
    """The baseline method of all runs. Raises ConfigError where they have different ones."""
    found = sorted({sweep.table.baseline for sweep in sweeps})
    if len(found) > 1:
        raise ConfigError(f"the runs' own baselines are {', '.join(found)}: choose one by --baseline METHOD")
    return found[0]
