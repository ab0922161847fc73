"""What is asked of a measuring process, what it answers, and what becomes of it. Imports no torch."""

from pydantic import Field

from epa_bench.bench.cases import Case, Part, SideName
from epa_bench.core.records import Finite, Record


class Job(Record):
    """Sides of a case that take the same steps in turns."""

    case: Case
    sides: tuple[SideName, ...]
    rounds: int
    """Steps timed, after one to warm up."""


class Measured(Record):
    """What the sides of a job did."""

    seconds: dict[SideName, tuple[Finite, ...]]
    """Of every timed step: of the processor on CPU, on the clock on CUDA."""

    losses: dict[SideName, tuple[Finite, ...]]
    """Of every step, the first included."""

    missing: dict[SideName, str] = Field(default_factory=dict)
    """Why a side was not measured."""

    tokens: int
    """Mean tokens of a timed step, a prompt counted with each of its responses, padding not at all."""

    peak_mib: Finite | None
    """Most memory held at once during the steps, all sides of the job together, above what was held before the first.
    None where the system does not tell."""


class Row(Record):
    """A case against one peer: what `--json` holds."""

    case: str
    part: Part
    peer: SideName
    P: int
    R: int
    K: int
    vocabulary: int
    hidden_size: int
    parameters: int
    """Of the model, or of the head."""

    groups: int
    ragged: bool
    tokens: int
    """Mean tokens of a step, as in `Measured`."""

    rounds: int
    seconds_ours: Finite
    """Median over the rounds."""

    seconds_peer: Finite | None = None
    ratio: Finite | None = None
    """Median over the rounds of the peer's seconds through ours in the same round."""

    ratio_low: Finite | None = None
    ratio_high: Finite | None = None
    """The rounds' extremes."""

    tokens_per_second_ours: Finite
    tokens_per_second_peer: Finite | None = None
    peak_mib_ours: Finite | None = None
    peak_mib_peer: Finite | None = None
    """None where not measured."""

    loss_difference: Finite | None = None
    """Largest absolute difference of the two losses over all steps, nats; None where they train different losses."""

    loss_moved: Finite
    """Largest absolute change of our loss from its first step: what a difference is small against."""

    note: str = ""
    """Why there is no comparison."""


class Machine(Record):
    """Where a run was measured."""

    processor: str
    cores: int
    """That this process may use."""

    memory_gib: Finite

    gpu: str | None
    """None on CPU."""

    system: str
    versions: dict[str, str]
    date: str
    """ISO."""
