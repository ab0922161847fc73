"""Cases that are measured in a moment."""

from typing import Any

from epa_bench.bench.cases import Case
from epa_bench.bench.rows import Measured
from epa_bench.config.schema import ScratchModel

TINY = ScratchModel(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    vocab_size=300,
    # Wide enough that a step changes log-probs by more than rounding does.
    initializer_range=0.2,
)


def micro_case(**changes: Any) -> Case:
    return Case(**{"name": "DPO", "prompt": 12, "response": 9, "ragged": True, "groups": 4, "model": TINY, **changes})


HEAD = micro_case(
    name="output layer",
    part="head",
    ours="chunked-head",
    peers=("full-logits",),
    prompt=0,
    response=64,
    ragged=False,
    strong=0,
    groups=1,
)


def measured(**changes: Any) -> Measured:
    """Three rounds in which TRL took 2, 4 and 3 times our seconds."""
    values = {
        "seconds": {"ours": (1.0, 2.0, 4.0), "trl": (2.0, 8.0, 12.0)},
        "losses": {"ours": (0.7, 0.6, 0.5, 0.55), "trl": (0.7, 0.6, 0.5, 0.554)},
        "tokens": 100,
        "peak_mib": None,
    }
    return Measured.model_validate(values | changes)
