"""What the trainings of a sweep take of memory and disk, told before anything is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from epa_bench.config.grid import Arm
from epa_bench.config.schema import CheckpointReference, Sweep
from epa_bench.config.supervised import CheckpointSft
from epa_bench.config.trainer import TrainerSettings
from epa_bench.core.errors import CheckpointError
from epa_bench.core.records import Record
from epa_bench.leaderboard.board import REFERENCE_METHOD
from epa_bench.models.chunks import chunk_positions
from epa_bench.models.identity import locate
from epa_bench.pipeline.cells import SweepCells
from epa_bench.training.estimate import GIB, Load, ModelShape, cheaper, estimate, share_of_step
from epa_bench.training.known_shape import KnownModel, checkpoint_model, scratch_model


class TrainingMemory(Record):
    """One training of an arm, any seed, or the one that makes the reference. Bytes on one device (with ranks: on each).

    The reference is scored in cells of its own, so no second model is held beside the one that is trained.
    """

    arm: str
    parameters: int
    trainable: int

    certain: int
    """Weights, gradients and optimizer state: what no batch size changes."""

    at_most: int | None
    """With activations and logits, every response as long as `data.max_length`; None where that is not estimated
    (FSDP, or an architecture whose config.json does not say its sizes as Llama's does)."""

    available: int | None
    """What the device has; None where it is not known."""

    verdict: Literal["fits", "may not fit", "does not fit", "unknown"]

    advice: tuple[str, ...]
    """Where it is not known to fit: single changes of the sweep, and what is needed at most then."""

    checkpoint: int
    """Bytes of the checkpoint that stays on disk."""

    resumable: int
    """Bytes on disk while it runs: the two checkpoints it may be resumed from."""


@dataclass(frozen=True)
class _Job:
    """A training, by what decides its memory."""

    name: str
    settings: TrainerSettings
    section: str
    """Of the sweep file, which holds the settings."""

    trainable: int

    sequences: int
    """Of a group."""

    longest: int
    """Tokens of a sequence, at most."""

    ranks: int

    def at_most(self, shape: ModelShape, settings: TrainerSettings) -> int:
        groups, _ = share_of_step(settings, self.ranks)
        tokens = groups * self.sequences * self.longest
        logits = min(tokens, chunk_positions(shape.device, shape.vocabulary))
        found = estimate(shape, Load(tokens, tokens, logits), settings)
        return found.weights + found.beyond_weights


def training_memory(sweep: Sweep, arm: Arm, model: KnownModel, available: int | None) -> TrainingMemory:
    """The estimate of one arm's training."""
    settings, candidates = sweep.training, 1 + arm.strong + arm.weak
    trainable, ranks = model.trainable(settings.lora), sweep.execution.processes
    job = _Job(arm.name, settings, "training", trainable, candidates, sweep.data.max_length, ranks)
    return _memory(job, model, available, resumable=settings.save_steps is not None or settings.validation is not None)


def supervised_memory(
    sweep: Sweep, settings: CheckpointSft, model: KnownModel, available: int | None
) -> TrainingMemory:
    """The estimate of the supervised stage that makes the reference from a checkpoint."""
    longest, ranks = sweep.data.max_length, sweep.execution.processes
    trainable = model.trainable(settings.lora)
    job = _Job(REFERENCE_METHOD, settings, "reference.sft", trainable, 1, longest, ranks)
    found = _memory(job, model, available, resumable=settings.save_steps is not None)
    # An adapter is merged in the end.
    return found.model_copy(update={"checkpoint": 4 * model.parameters})


def _memory(job: _Job, model: KnownModel, available: int | None, *, resumable: bool) -> TrainingMemory:
    settings, trainable = job.settings, job.trainable
    most = None
    if model.shape is None:
        # Sizes of layers do not count for what is certain.
        shape = ModelShape(model.parameters, trainable, 0, 0, 0, 0, 0, "cpu")
    else:
        shape = replace(model.shape, trainable=trainable)
        most = None if settings.fsdp else job.at_most(shape, settings)
    held = estimate(shape, Load(0, 0, 0), settings)
    certain = (held.weights + held.gradients + held.optimizer) // (job.ranks if settings.fsdp else 1)
    verdict = _verdict(certain, most, available)
    return TrainingMemory(
        arm=job.name,
        parameters=model.parameters,
        trainable=trainable,
        certain=certain,
        at_most=most,
        available=available,
        verdict=verdict,
        advice=() if verdict in ("fits", "unknown") else tuple(_advice(job, shape, most)),
        checkpoint=4 * trainable,
        resumable=2 * (4 * trainable + held.optimizer) if resumable else 0,
    )


def model_of(sweep: Sweep, device: str) -> KnownModel:
    """What the sweep trains. Raises CheckpointError for a reference that cannot be read."""
    reference = sweep.reference
    if isinstance(reference, CheckpointReference):
        found = locate(reference)
        if reference.sft is not None:
            # An adapter is merged into its base first.
            return checkpoint_model(found.base or found.path, None, device)
        return checkpoint_model(found.path, found.base, device)
    return scratch_model(reference.model, device)


def training_bytes(sweep: Sweep, cells: SweepCells) -> dict[str, int]:
    """Digest of every training -> bytes of it and its ranks: at most, or where that is not known, for sure.

    Empty for a reference that cannot be read.
    """
    try:
        model = model_of(sweep, cells.device)
    except CheckpointError:
        # The cell that opens it says what is wrong.
        return {}
    found: dict[str, TrainingMemory] = {}
    for checkpoint in cells.checkpoints:
        if checkpoint.arm is not None and checkpoint.cell is not None:
            found[checkpoint.cell.digest] = training_memory(sweep, checkpoint.arm, model, None)
    if isinstance(sweep.reference.sft, CheckpointSft) and cells.reference is not None:
        found[cells.reference.digest] = supervised_memory(sweep, sweep.reference.sft, model, None)
    ranks = sweep.execution.processes
    return {digest: ranks * (memory.at_most or memory.certain) for digest, memory in found.items()}


def _verdict(
    certain: int, most: int | None, available: int | None
) -> Literal["fits", "may not fit", "does not fit", "unknown"]:
    if available is None:
        return "unknown"
    if certain > available:
        return "does not fit"
    if most is None:
        return "unknown"
    return "fits" if most <= available else "may not fit"


def _advice(job: _Job, shape: ModelShape, most: int | None) -> Iterator[str]:
    if most is None:
        yield f"{job.section}.lora: {{}} (adapters instead of all weights), or more ranks (execution.processes)"
        return
    for what, settings, changed in cheaper(job.settings, shape, job.section):
        less = job.at_most(changed, settings)
        if less < most:
            yield f"{what}: at most {less / GIB:.1f} GiB"
