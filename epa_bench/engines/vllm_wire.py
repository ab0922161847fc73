"""What is said to the process that holds vLLM and what it says back: a line of JSON each. Imports no torch.

it is told                     it says
the settings, as its argument  Ready, or Failed and ends
Swap, Attach                   Done, or Failed
Generate, Score, Rank          Generated, Scored, Ranked for each prompt as soon as it is finished, then Done; or Failed
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from epa_bench.core.records import Finite, Record

TokenIds = tuple[int, ...]


LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM 0.32 makes room for."""


class LoraRoom(Record):
    """What adapters an engine can serve beside its weights. Both cost memory."""

    rank: int
    """The largest of an update; one of LORA_RANKS."""

    modules: tuple[str, ...]
    """Last names of the layers that can have one, without the output layer: with it vLLM 0.32 cannot score on CPU."""


class Settings(Record):
    """How an engine runs, whatever it serves."""

    dtype: Literal["float32", "bfloat16"]
    device: Literal["cpu", "cuda"]
    tensor_parallel_size: int
    max_model_len: int | None
    places: int
    """Answers generated side by side."""

    kv_cache_gib: Finite | None
    gpu_memory_utilization: Finite
    trust_remote_code: bool


class Start(Settings):
    """What one process serves, from its start to its end."""

    folder: str
    """Whole weights."""

    tokenizer: str
    """Folder of their tokenizer."""

    lora: LoraRoom | None


class Swap(Record):
    """Weights of the same shapes, read again only where others are held, and no adapter."""

    do: Literal["swap"] = "swap"
    folder: str


class Attach(Record):
    """A LoRA adapter on the weights, until the next swap."""

    do: Literal["attach"] = "attach"
    folder: str


class Sampling(Record):
    """How answers are drawn. vLLM's own defaults and the checkpoint's generation_config.json add nothing to it."""

    temperature: Finite
    max_tokens: int
    stop_token_ids: TokenIds
    stop: tuple[str, ...]
    top_p: Finite = 1.0
    top_k: int = 0
    min_p: Finite = 0.0
    repetition_penalty: Finite = 1.0
    presence_penalty: Finite = 0.0
    frequency_penalty: Finite = 0.0


class Generate(Record):
    """Answers wanted."""

    do: Literal["generate"] = "generate"
    prompts: tuple[TokenIds, ...]
    seeds: tuple[int, ...]
    sampling: Sampling


class Score(Record):
    """Log-probs wanted of all tokens of each sequence but the first `skip` ones of it, at least one."""

    do: Literal["score"] = "score"
    sequences: tuple[TokenIds, ...]
    skips: tuple[int, ...]


class Rank(Record):
    """The most probable tokens after each prompt wanted."""

    do: Literal["rank"] = "rank"
    prompts: tuple[TokenIds, ...]
    count: int


Command = Swap | Attach | Generate | Score | Rank
COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="do")])


class Ready(Record):
    """The engine stands."""

    say: Literal["ready"] = "ready"
    max_model_len: int


class Generated(Record):
    """An answer, the token that ended it included."""

    say: Literal["generated"] = "generated"
    index: int
    """Of the prompt in the command."""

    tokens: TokenIds


class Scored(Record):
    """Log-probs in nats."""

    say: Literal["scored"] = "scored"
    index: int
    logps: tuple[Finite, ...]
    greedy: bool


class Ranked(Record):
    """Tokens, the most probable first, and their log-probs in nats."""

    say: Literal["ranked"] = "ranked"
    index: int
    tokens: tuple[tuple[int, Finite], ...]


class Failed(Record):
    """An exception. What the engine is now worth nobody knows."""

    say: Literal["failed"] = "failed"
    reason: str


class Done(Record):
    """Nothing more will be said to this command."""

    say: Literal["done"] = "done"


Reply = Annotated[Ready | Generated | Scored | Ranked | Failed | Done, Field(discriminator="say")]
REPLY: TypeAdapter[Ready | Generated | Scored | Ranked | Failed | Done] = TypeAdapter(Reply)
