"""The sweep file's schema. Every field has its unit and, where the paper names it, its symbol."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from epa_bench.config.engine import Engine
from epa_bench.config.execution import Execution
from epa_bench.config.judge import GoldJudge, Judge
from epa_bench.config.supervised import CheckpointSft, References, Sft
from epa_bench.config.trackers import Tracker
from epa_bench.config.trainer import TrainerSettings
from epa_bench.config.values import (
    Commit,
    Count,
    Fraction,
    Grid,
    Listed,
    Name,
    Positive,
    Seed,
    Seeds,
    conflict,
)
from epa_bench.core.records import Finite, Record


class ScratchModel(Record):
    """A Llama trained from nothing."""

    hidden_size: Count = 128
    intermediate_size: Count = 384
    num_hidden_layers: Count = 4

    num_attention_heads: Count = 4
    """The head size, hidden_size / num_attention_heads, must be even (rotary embeddings) and at least 32: attention
    kernels serve nothing smaller."""

    vocab_size: Annotated[int, Field(ge=300)] = 512
    """Of the byte-level tokenizer trained on the spot; 256 bytes and the special tokens included."""

    max_position_embeddings: Count = 512
    rope_theta: Positive = 10000.0
    initializer_range: Positive = 0.02
    """Standard deviation of the initial weights. Small models learn to copy sooner with a wider one."""

    @model_validator(mode="after")
    def _check_head_size(self) -> Self:
        head_size, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest or head_size % 2 or head_size < 32:
            raise conflict(
                "hidden_size / num_attention_heads must be an even whole number of at least 32, got "
                f"{self.hidden_size} / {self.num_attention_heads}",
                "hidden_size",
                "num_attention_heads",
            )
        return self


class ScratchReference(Record):
    """The reference is made here: tokenizer, model and supervised training."""

    kind: Literal["scratch"]
    model: ScratchModel = ScratchModel()
    sft: Sft = Sft()
    template: Literal["chat"] = "chat"


class GivenCheckpoint(Record):
    """A Hugging Face checkpoint: a folder, or a hub name with its revision."""

    kind: Literal["checkpoint"]
    path: str

    revision: Commit | None = None
    """Commit of a hub checkpoint; required for a hub name, so that the sweep can be repeated."""

    template: Literal["chat", "plain"] = "chat"
    """`chat`: the tokenizer's own chat template; `plain`: prompt and response are concatenated as they are."""

    trust_remote_code: bool = False
    """Runs Python code that ships with the checkpoint. Leave it off unless you have read that code."""


class CheckpointReference(GivenCheckpoint):
    """The reference is a checkpoint as it is, or trained further by the supervised stage."""

    sft: CheckpointSft | None = None


Reference = Annotated[ScratchReference | CheckpointReference, Field(discriminator="kind")]


class EmbeddedData(Record):
    """Procedurally generated instructions; the preference pairs are sampled from the reference itself."""

    kind: Literal["embedded"]
    sft_prompts: Count = 6000
    """Instructions the from-scratch reference is trained on."""

    correct: Fraction = 0.6
    """Share of supervised targets that are right."""

    off_topic: Fraction = 0.15
    """Share of supervised targets that answer another prompt: the mass EPA's weak negatives push on."""

    swapped: Fraction = 0.0
    """Share of supervised rows that have the target of another of these rows: label noise."""

    swapped_preferences: Fraction = 0.0
    """Share of preference rows for training whose chosen response changes places with the first rejected one."""

    train_prompts: Count = 800
    eval_prompts: Count = 300

    responses: Annotated[int, Field(ge=2)] = 4
    """Responses sampled a prompt, at temperature 1."""

    max_new_tokens: Count = 24
    max_length: Count = 96
    """Tokens of prompt and response together."""

    seed: Seed = 0

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.correct + self.off_topic > 1:
            raise conflict(
                f"correct + off_topic must be at most 1, got {self.correct} + {self.off_topic}", "correct", "off_topic"
            )
        return self

    def recipe(self) -> dict[str, Any]:
        """What decides the data; shares of swapped rows, which were added later, are named only where there are any."""
        none = {name for name in ("swapped", "swapped_preferences") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=none)

    def corpus_recipe(self) -> dict[str, Any]:
        """The same without what only the preferences depend on and was added later."""
        return {name: value for name, value in self.recipe().items() if name != "swapped_preferences"}


class Contamination(Record):
    """Training prompts that a suite asks as well: told before training, `epa-bench contamination` lists the rows."""

    policy: Literal["warn", "drop", "refuse", "off"] = "warn"
    """`warn`: train on them and say how many; `drop`: leave these rows out and count them; `refuse`: stop; `off`: do
    not look. An overlap is the same text, the same words, or 13 words in a row that at most ten rows
    have."""


class FilesData(Record):
    """Preference data in TRL's formats: local JSONL, JSON, Parquet (or .gz), or a hub data set."""

    kind: Literal["files"]
    train: str
    eval: str
    train_split: str = "train"
    eval_split: str = "test"
    """Splits of a hub data set; local files have none."""

    revision: Commit | None = None
    """Commit of a hub data set; required for a hub name."""

    invalid_rows: Literal["error", "drop"] = "error"
    """Rows with an empty response, identical responses and the like: refuse the file, or drop and count them."""

    contamination: Contamination = Contamination()

    train_limit: Count | None = None
    eval_limit: Count | None = None
    """Take only the first rows."""

    max_length: Count = 1024
    """Tokens of prompt and response together; a longer response is cut on the right and counted."""


Data = Annotated[EmbeddedData | FilesData, Field(discriminator="kind")]


class AlignedScratch(Record):
    """An aligned model made here: a tokenizer, a model and supervised training of its own, on the embedded task."""

    kind: Literal["scratch"]
    model: ScratchModel = ScratchModel()
    sft: Sft = Sft()
    data: EmbeddedData

    template: Literal["chat"] = "chat"


class AlignedScores(Record):
    """Scores that an aligned model gave elsewhere."""

    kind: Literal["scores"]

    path: str
    """JSON lines of {prompt, response, logp, tokens}, a line for every supervised row at least, in any order; logp is
    summed over the response's tokens in nats, tokens is their number under the model's own tokenizer."""


Aligned = Annotated[AlignedScratch | GivenCheckpoint | AlignedScores, Field(discriminator="kind")]
"""A model whose mean log-prob a response token tells how good a supervised row is; its tokenizer may be another."""


Control = Literal["learning_rate", "nll", "strong_only", "weak_only", "own_prompt"]
"""What a control changes of the method it controls; S and W are that one's strong and weak negatives.

- `learning_rate`: DPO that pushes the positive as far as the method does: its learning rate times
  [(S + W) / (1 + S + W)] / [1 / 2], the positive's weight at step 0 against DPO's. Its margin is one of step size.
- `nll`: DPO with an added NLL term, weight `nll`. Its margin is one of keeping the chosen response likely.
- `strong_only`: 1:S:0, what the strong negatives do alone.
- `weak_only`: 1:0:W, what the weak negatives do alone.
- `own_prompt`: each weak negative under the prompt it answers, s(x_j, y_j) in place of s(x_i, y_j). The wrong method,
  to show that it is another one: the normalisers of two prompts do not cancel in s(x_j, y_j) - s(x_i, y+).
"""

WeakPrompt = Literal["this", "own"]


class Method(Record):
    """One way of training from the reference; every list multiplies into the grid.

    `dpo-lr-matched: {control_of: epa, control: learning_rate}` is a control: what it does not give, loss included, is
    taken from `epa`, every list of it, so that there is a control of every point of its grid.
    """

    control_of: str | None = None
    """The method this one is a control of, by its name; not a control itself."""

    control: Control | None = None
    """What is changed of that method: learning_rate, nll, strong_only, weak_only or own_prompt, as above."""

    loss: str
    """A name that `epa-bench losses` lists. A control may leave it out."""

    options: dict[str, Finite] = Field(default_factory=dict)
    """The loss's own numbers, such as label_smoothing: names, ranges and defaults in `epa-bench losses`."""

    beta: Grid[Positive] = (0.1,)
    """beta of s = beta * (log pi - log pi_ref)."""

    learning_rate: Grid[Positive] = (5e-7,)

    strong: Grid[Annotated[int, Field(ge=0)]] = (1,)
    """S, strong negatives a group: dispreferred responses to the same prompt. 0 needs weak ones."""

    weak: Grid[Annotated[int, Field(ge=0)]] = (0,)
    """W, weak negatives a group: responses to other prompts, scored under this one."""

    weak_source: Grid[Literal["chosen", "rejected", "both"]] = ("both",)
    """Which responses of the other prompts are drawn."""

    weak_pool: Grid[Literal["step", "dataset"]] = ("step",)
    """Where weak negatives are drawn from: the groups of one optimizer step, or the whole data set."""

    weak_prompt: WeakPrompt = "this"
    """The prompt a weak negative is scored under: that of its group, or with `own` the one it answers, which is not
    EPA (see `own_prompt` above)."""

    nll: Grid[Annotated[Finite, Field(ge=0)]] = (0.0,)
    """Weight of the added negative log-likelihood of the chosen response, per token. In a control `nll` 0.2 by default,
    unless the method it controls has one: Llama 3's (arXiv 2407.21783, section 4.1.4), for DPO on general instructions.
    Iterative RPO (arXiv 2404.19733) takes 1, on reasoning tasks."""

    seeds: Seeds | None = None
    """Instead of the sweep's seeds."""

    @model_validator(mode="after")
    def _check_negatives(self) -> Self:
        if 0 in self.strong and 0 in self.weak:
            raise conflict(
                "groups of strong: 0 and weak: 0 have no negative; raise one of the two, or take 0 out of its list",
                "strong",
                "weak",
            )
        return self


class Validation(Record):
    """Rows held out of the training data, on which the checkpoints of one training are compared.

    They are never the sweep's evaluation rows: margins are reported on those, and choosing there would bias them.
    """

    rows: Count
    """Rows to hold out, at least: all rows of a prompt go together, so that no prompt is both trained on and held out.
    """

    seed: Seed = 0
    """Draws the prompts, the same ones for every method and training seed."""

    eval_steps: Count
    """Optimizer steps between evaluations. The last step is evaluated too."""

    load_best_model_at_end: bool = True
    """The checkpoint is that of the best evaluation, of equal ones the earliest; otherwise that of the last step."""

    metric_for_best_model: Literal["loss", "rewards/accuracies", "rewards/margins"] = "loss"
    """Mean over the held-out pairs (one strong negative, no weak one). The lowest loss is best, the highest of others.
    """


class Training(TrainerSettings):
    """Shared by every method."""

    data_seed: Seed | None = None
    """Fixes the comparison groups and their weak negatives for all seeds, which then only permute the steps; without
    it every seed draws its own."""

    keep_checkpoints: Annotated[int, Field(ge=0, le=100)] = 0
    """Checkpoints to keep on the way, evenly spaced before the last one. The suites `generation` and `kl` are asked of
    them too, for `epa-bench frontier`; tables are about the last one only."""

    validation: Validation | None = None
    """Evaluation on held-out rows while training, and which checkpoint to keep by it."""

    def recipe(self) -> dict[str, Any]:
        """What decides the weights.

        How often they are saved does not. Keys that were added later are named only where they are not at their
        default, which is what was done before there was such a key: so their coming left existing cells as they were.
        """
        settings, defaults = self.model_dump(mode="json", exclude={"save_steps"}), Training().model_dump(mode="json")
        if self.lora is not None:
            settings["lora"] = self.lora.recipe()
        return {name: value for name, value in settings.items() if name not in _LATER or value != defaults[name]}


_LATER = {
    "warmup_steps",
    "optim",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "validation",
    "fsdp",
    "lora",
    "keep_checkpoints",
}


class Table(Record):
    """The margin table."""

    baseline: str = "dpo"
    """Method every other one is compared with."""

    level: Annotated[Finite, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of the intervals."""


class Output(Record):
    """Where results go; both folders are made if absent."""

    folder: str = "runs"
    """Holds the store shared by sweeps and one folder a sweep."""

    leaderboards: str = "leaderboards"

    report_to: Listed[Tracker] = ()
    """Trackers that every training reports to, as a run called SWEEP/ARM/seed-SEED. They decide no result."""


class Sweep(Record):
    """A sweep file."""

    name: Name
    reference: Reference
    data: Data

    aligned: dict[Name, Aligned] = Field(default_factory=dict)
    """Aligned models, for `reference.sft.objective: poft` and `reference.sft.keep`."""

    references: References | None = None
    """Instead of the one reference several, made from it."""

    methods: dict[Name, Method]
    """At least one; may be empty with `references`, which are then compared as they are."""

    seeds: Seeds = (1, 2, 3)
    """Training seeds. A seed decides the order of the data and the draw of weak negatives."""

    training: Training = Training()
    suites: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Suite name -> keys of its suite.yaml to override."""

    mirror: str | None = None
    """A folder that holds the files suites take from others, under any name: the sha256 decides. EPA_BENCH_MIRROR
    names one too."""

    judge: Judge = GoldJudge()
    engine: Engine = Engine()
    table: Table = Table()
    output: Output = Output()
    execution: Execution = Execution()

    @field_validator("methods")
    @classmethod
    def _some_method(cls, methods: dict[str, Method], info: ValidationInfo) -> dict[str, Method]:
        if not methods and info.data.get("references") is None:
            raise PydanticCustomError("too_short", "expected at least one entry")
        return methods
