"""What `epa-bench bench train` measures, as data. Imports no torch."""

from collections.abc import Mapping
from typing import Literal

from epa_bench.config.schema import ScratchModel
from epa_bench.core.records import Record

SideName = Literal["ours", "ours-dpo", "trl", "trl-online", "obvious", "chunked-head", "full-logits"]

Part = Literal["peers", "own", "head", "P", "R", "K", "vocabulary", "hidden size"]
"""Which table of the report a case belongs to; the last five are tables of growth."""

SMALL = ScratchModel(
    hidden_size=256,
    intermediate_size=704,
    num_hidden_layers=5,
    num_attention_heads=4,
    vocab_size=4096,
    max_position_embeddings=8192,
)
"""A Llama of five million parameters."""

ROUNDS = 5
"""Steps timed a case, after one to warm up."""


class Case(Record):
    """One training step, or only its head, and the sides that take it."""

    name: str
    part: Part = "peers"
    ours: SideName = "ours"
    peers: tuple[SideName, ...] = ("obvious",)

    prompt: int
    """P, mean tokens of a prompt."""

    response: int
    """R, mean tokens of a response, EOS included."""

    ragged: bool = False
    """Lengths spread as in preference data, so that padding costs; else all alike."""

    strong: int = 1
    weak: int = 0

    groups: int
    """Comparison groups of a step."""

    model: ScratchModel = SMALL

    memory: bool = False
    """Peak memory is measured too, in a process a side."""

    def __str__(self) -> str:
        sizes = f"P={self.prompt} R={self.response} K={self.candidates} V={self.model.vocab_size}"
        return f"{self.name} {sizes} against {', '.join(PEERS[peer] for peer in self.peers)}"

    @property
    def candidates(self) -> int:
        """K."""
        return 1 + self.strong + self.weak

    @property
    def parameters(self) -> int:
        """Numbers in the weights: of a Llama whose output layer is its embedding, or of the head alone."""
        shape = self.model
        embedding = shape.vocab_size * shape.hidden_size
        if self.part == "head":
            return embedding
        attention = 4 * shape.hidden_size**2
        block = attention + 3 * shape.hidden_size * shape.intermediate_size + 2 * shape.hidden_size
        return embedding + shape.num_hidden_layers * block + shape.hidden_size

    @property
    def loss(self) -> Literal["dpo", "epa"]:
        return "dpo" if self.candidates == 2 else "epa"


# Sixteen sequences a step: eight pairs are the default micro-batch of both trainers.
_DPO = Case(
    name="DPO",
    peers=("trl", "trl-online"),
    prompt=133,
    response=194,
    ragged=True,
    groups=8,
    memory=True,
)
_DPO_LONG_PROMPTS = Case(name="DPO", peers=("trl",), prompt=266, response=70, ragged=True, groups=8)
_EPA_2 = Case(name="EPA 1:1:2", prompt=133, response=194, ragged=True, weak=2, groups=4, memory=True)
_EPA_6 = Case(name="EPA 1:1:6", prompt=133, response=194, ragged=True, weak=6, groups=2)
_OWN = Case(name="EPA 1:1:2", part="own", peers=("ours-dpo",), prompt=256, response=64, weak=2, groups=4)
_HEAD = Case(
    name="output layer",
    part="head",
    ours="chunked-head",
    peers=("full-logits",),
    prompt=0,
    response=2048,
    strong=0,
    groups=1,
    # Llama 3's vocabulary. Few hidden dimensions: time grows with them, the logits' memory does not.
    model=ScratchModel(hidden_size=64, num_attention_heads=2, vocab_size=128_256),
    memory=True,
)

_SIZES = {128: 352, 256: 704, 512: 1408}
"""Hidden size and, in Llama's proportion, the intermediate size."""


def cases(mode: Literal["quick", "full"]) -> list[Case]:
    """Every case of a run, in the report's order.

    `quick` takes one case of each kind of step, with one peer; peaks of memory and the head alone take minutes.
    """
    if mode == "quick":
        return [_quickly(case) for case in (_DPO, _EPA_2, _OWN)]
    return [_DPO, _DPO_LONG_PROMPTS, _EPA_2, _EPA_6, _OWN, _HEAD, *_growth()]


def _quickly(case: Case) -> Case:
    return case.model_copy(update={"peers": case.peers[:1], "memory": False})


def _growth() -> list[Case]:
    """One quantity grows, the others stay at EPA 1:1:2, P = 256, R = 64 and the small model."""
    return [
        *(_grown("P", prompt=tokens) for tokens in (64, 256, 512)),
        *(_grown("R", response=tokens) for tokens in (32, 64, 256)),
        *(_grown("K", weak=weak) for weak in (0, 2, 6)),
        *(_grown("vocabulary", model=_changed(vocab_size=size)) for size in (4096, 16_384, 65_536)),
        *(
            _grown("hidden size", model=_changed(hidden_size=size, intermediate_size=inner))
            for size, inner in _SIZES.items()
        ),
    ]


def _grown(part: Part, *, prompt: int = 256, response: int = 64, weak: int = 2, model: ScratchModel = SMALL) -> Case:
    name = "DPO" if weak == 0 else f"EPA 1:1:{weak}"
    return Case(name=name, part=part, prompt=prompt, response=response, weak=weak, groups=2, model=model)


def _changed(**shape: int) -> ScratchModel:
    return SMALL.model_copy(update=shape)


PEERS: Mapping[SideName, str] = {
    "trl": "TRL, reference precomputed",
    "trl-online": "TRL, reference online",
    "obvious": "obvious",
    "ours-dpo": "our DPO",
    "full-logits": "full logits",
}
"""What the report calls them."""
