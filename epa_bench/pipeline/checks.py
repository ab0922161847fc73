"""Checks of a raw sweep against registries that its schema does not know."""

from collections.abc import Iterator
from typing import Any

from epa_bench.config.execution import Execution
from epa_bench.config.load import LoadedSweep
from epa_bench.config.trackers import missing_packages
from epa_bench.config.trainer import TrainerSettings
from epa_bench.config.yaml12 import Location
from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.board import REFERENCE_METHOD
from epa_bench.losses.spec import LossSpec
from epa_bench.losses.table import LOSSES, get_loss

_DEFAULTS = TrainerSettings()
_ONE = Execution().processes

STORE_FOLDER = "store"
"""Inside output.folder, beside a folder for each sweep."""


def check_losses(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """Unknown losses, fewer or more negatives than a loss can take, options that it does not have or take."""
    for name, method in _methods(raw).items():
        loss = method.get("loss")
        if not isinstance(loss, str):
            continue
        try:
            spec = get_loss(loss)
        except ConfigError as error:
            yield ("methods", name, "loss"), f"`methods.{name}.loss`: {error}"
            continue
        yield from _check_counts(name, method, spec)
        yield from _check_options(name, method.get("options"), spec)


def _check_counts(name: str, method: dict[str, Any], spec: LossSpec) -> Iterator[tuple[Location, str]]:
    limits = (("strong", spec.min_strong, spec.max_strong, 1), ("weak", 0, spec.max_weak, 0))
    for key, least, most, default in limits:
        for count in _listed(method.get(key, default)):
            if not isinstance(count, int):
                continue
            where, problem = ("methods", name, key), f"`methods.{name}.{key}`: the {spec.name} loss"
            if most is not None and count > most:
                yield (
                    where,
                    f"{problem} takes at most {most}, got {count}; lower it, or choose a loss for several negatives, "
                    "such as epa",
                )
            elif 0 <= count < least:
                yield (
                    where,
                    f"{problem} needs at least {least}, got {count}; raise it, or choose a loss that does with weak "
                    "negatives alone, such as epa",
                )


def _check_options(name: str, options: Any, spec: LossSpec) -> Iterator[tuple[Location, str]]:
    """Of a wrong type only the name is looked at; the schema tells the rest."""
    for option, value in options.items() if isinstance(options, dict) else ():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        known = [o.name for o in spec.options]
        for _, problem in spec.problems({option: value}) if number or option not in known else ():
            yield ("methods", name, "options", option), f"`methods.{name}.options.{option}`: {problem}"


def check_controls(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """A matched learning rate for a method whose push on the positive does not follow from its counts alone."""
    methods = _methods(raw)
    for name, method in methods.items():
        of = method.get("control_of")
        if method.get("control") != "learning_rate" or not isinstance(of, str) or of not in methods:
            continue
        loss, options = methods[of].get("loss"), methods[of].get("options")
        spec = LOSSES.get(loss) if isinstance(loss, str) else None
        if spec is None:
            continue
        changed = isinstance(options, dict) and spec.changed(options)
        if changed or not spec.pushes_by_count:
            what = f"with {', '.join(changed)}, the" if changed else "the"
            yield (
                ("methods", name, "control"),
                f"`methods.{name}.control`: how far {what} {spec.name} loss of `{of}` pushes the positive does not "
                "follow from its numbers of negatives; give a DPO method the learning rate that you hold to be fair",
            )


def check_step_size(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """More weak negatives than other groups in an optimizer step: no data could serve them."""
    step = _step(_section(raw, "training"))
    if step is None:
        return
    batch, accumulation = step
    others = batch * accumulation - 1
    for name, method in _methods(raw).items():
        from_step = "step" in _listed(method.get("weak_pool", "step"))
        for count in _listed(method.get("weak", 0)):
            if from_step and isinstance(count, int) and count > others:
                yield (
                    ("methods", name, "weak"),
                    f"`methods.{name}.weak`: {count} weak negatives, but a step of {batch} x {accumulation} groups has "
                    f"only {others} other prompts; lower it, enlarge the step, or set weak_pool: dataset",
                )


def check_ranks(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """A step that its ranks cannot share out evenly; sharding without ranks."""
    processes = _section(raw, "execution").get("processes", _ONE)
    if not isinstance(processes, int) or processes < 1:
        return
    yield from _shares(("training",), _section(raw, "training"), processes)
    reference = _section(raw, "reference")
    if reference.get("kind") == "checkpoint" and isinstance(reference.get("sft"), dict):
        yield from _shares(("reference", "sft"), reference["sft"], processes)


def _shares(location: Location, settings: dict[str, Any], processes: int) -> Iterator[tuple[Location, str]]:
    section = ".".join(map(str, location))
    if processes == 1 and settings.get("fsdp") is True:
        yield (
            (*location, "fsdp"),
            f"`{section}.fsdp`: shards over the ranks of a training, but `execution.processes` is 1; raise it, or "
            "leave fsdp out",
        )
    step = _step(settings)
    if step is not None and step[0] * step[1] % processes:
        of = "" if section == "training" else f" of {section}"
        yield (
            ("execution", "processes"),
            f"`execution.processes`: {processes} ranks cannot share a step{of} of {step[0]} x {step[1]} groups evenly; "
            f"choose a number that divides {step[0] * step[1]}",
        )


def check_device(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """A cluster whose nodes have what this machine cannot see."""
    execution = _section(raw, "execution")
    if execution.get("kind") in ("ray", "slurm") and execution.get("device", "auto") == "auto":
        yield (
            ("execution", "device"),
            f"`execution.device`: auto looks at this machine, which says nothing of the {execution['kind']} cluster's "
            "nodes; set cpu or cuda",
        )


def check_names(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """Names that mean something else here."""
    if raw.get("name") == STORE_FOLDER:
        yield ("name",), f"`name`: {STORE_FOLDER} is the folder of the store beside the sweeps; choose another"
    if REFERENCE_METHOD in _methods(raw):
        yield (
            ("methods", REFERENCE_METHOD),
            f"`methods.{REFERENCE_METHOD}`: the table calls the untrained model so; choose another name",
        )


def check_baseline(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """The table's baseline is one of the methods."""
    table = raw.get("table", {})
    baseline = table.get("baseline", "dpo") if isinstance(table, dict) else None
    methods = _methods(raw)
    if isinstance(baseline, str) and methods and baseline not in methods:
        yield (
            ("table", "baseline"),
            f"`table.baseline`: no method is called {baseline!r}; choose one of {', '.join(methods)}",
        )


def check_trackers(loaded: LoadedSweep) -> None:
    """Raises ConfigError for a tracker that is not installed. For when something is to be trained."""
    for package in missing_packages(loaded.config.output.report_to):
        where = loaded.document.where(("output", "report_to"))
        raise ConfigError(
            f"{where}: `output.report_to` needs the package {package}, which is not installed; "
            f"`pip install {package}`, or leave the tracker out"
        )


def _step(settings: dict[str, Any]) -> tuple[int, int] | None:
    """(batch size, accumulation); None for what the schema will refuse."""
    batch = settings.get("per_device_train_batch_size", _DEFAULTS.per_device_train_batch_size)
    accumulation = settings.get("gradient_accumulation_steps", _DEFAULTS.gradient_accumulation_steps)
    return (batch, accumulation) if isinstance(batch, int) and isinstance(accumulation, int) else None


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    section = raw.get(name)
    return section if isinstance(section, dict) else {}


def _listed(value: Any) -> list[Any]:
    """A grid's values: one, or a list of them."""
    return value if isinstance(value, list) else [value]


def _methods(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    methods = raw.get("methods")
    if not isinstance(methods, dict):
        return {}
    return {name: method for name, method in methods.items() if isinstance(method, dict)}
