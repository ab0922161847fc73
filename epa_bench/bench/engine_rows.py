"""What `epa-bench bench engine` asks of its measuring process and is told. Imports no torch."""

from typing import Literal

from epa_bench.config.schema import ScratchModel
from epa_bench.core.records import Finite, Record

Part = Literal[
    "start", "full answers", "wide answers", "uneven answers", "scores", "swaps", "restarts", "adapters", "agreement"
]


class EngineWork(Record):
    """How much is measured."""

    model: ScratchModel
    prompts: int
    """A round; of 16 to 128 tokens."""

    places: int
    """Answers side by side."""

    wide: int
    """Prompts of a round, all side by side, of the part that has many."""

    new_tokens: int
    """Of an answer at most."""

    rounds: int
    swaps: int
    """Checkpoints that are evaluated one after the other."""

    restarts: int
    """Of them, how many by a fresh start each."""


FULL = EngineWork(
    model=ScratchModel(
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=10,
        num_attention_heads=6,
        vocab_size=8192,
        max_position_embeddings=1024,
        # So wide that greedy answers do not hang on rounding.
        initializer_range=0.06,
    ),
    prompts=96,
    places=64,
    # vLLM's own default.
    wide=256,
    new_tokens=64,
    rounds=3,
    swaps=10,
    restarts=10,
)
"""A Llama of twenty million parameters."""

QUICK = FULL.model_copy(update={"rounds": 1, "restarts": 2})


class Rates(Record):
    """Of each round."""

    transformers: tuple[Finite, ...]
    vllm: tuple[Finite, ...]


class Served(Record):
    """Adapters served in one way, a round each."""

    loads: tuple[Finite, ...]
    tokens_per_second: tuple[Finite, ...]


class Measured(Record):
    """What a part gave: only what belongs to it is there."""

    seconds: Rates | None = None
    tokens_per_second: Rates | None = None
    loads: tuple[Finite, ...] = ()
    """Seconds of every swap or restart, reading and checking the checkpoint included."""

    merged: Served | None = None
    attached: Served | None = None

    equal: int = 0
    """Greedy answers that are the same, token for token."""

    compared: int = 0
    logps_apart: Finite = 0.0
    """Largest absolute difference of a token's log-prob, nats."""

    parameters: int = 0


class EngineRow(Record):
    """One line: what `--json` holds."""

    what: str
    unit: Literal["s", "tokens/s", "s a checkpoint"]
    sides: tuple[str, str]
    """The one that is compared, then vLLM as a sweep uses it."""

    other: Finite
    vllm: Finite
    """Medians."""

    ratio: Finite
    """How many times better vLLM's side is, median over the rounds."""

    ratio_low: Finite
    ratio_high: Finite
    count: int
    """Rounds; of the checkpoints' line restarts."""


class EngineReport(Record):
    """A run."""

    rows: tuple[EngineRow, ...]
    work: EngineWork
    parameters: int
    equal: int
    compared: int
    logps_apart: Finite
