"""The supervised stage's settings: cross-entropy, or PoFT on scores of aligned models, on all rows or the best ones."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from epa_bench.config.trainer import Scheduler, TrainerSettings
from epa_bench.config.values import Commit, Count, Fraction, Grid, Positive, Seed
from epa_bench.core.records import Finite, Record

Share = Annotated[Finite, Field(gt=0, le=1)]


class Poft(Record):
    """Preference-oriented fine-tuning (Fan et al., arXiv 2412.12865). The defaults are the release's."""

    beta: Positive = 1.0
    """beta of -log sigmoid(beta (r_theta - mean_j r_j) - gamma); the paper has none."""

    gamma: Finite = 0.0
    """By how much beta (r_theta - mean_j r_j) must be above 0 before the weight falls below a half."""

    mask: Literal["response", "released"] = "response"
    """`response`: the score of every model is of the response's tokens. `released`: the trained model's is of the
    prompt's tokens as well, as in the authors' code, which scores the aligned models on the response alone."""

    scores: Literal["own", "shuffled"] = "own"
    """`shuffled`: each row gets the aligned scores of another one. The placebo: equal weights, but of no meaning."""


class SupervisedData(Record):
    """Rows of the supervised stage: JSON lines, JSON or Parquet (or .gz), or a hub data set.

    `prompt` and `response`, or `messages` that end in the assistant's turn, which alone is trained on.
    """

    path: str
    split: str = "train"
    """Of a hub data set; local files have none."""

    revision: Commit | None = None
    """Commit of a hub data set; required for a hub name."""

    limit: Count | None = None
    """Take only the first rows."""

    invalid_rows: Literal["error", "drop"] = "error"
    """Rows with an empty response, and prompts that do not fit `data.max_length`: refuse the file, or drop and count
    them."""


class SupervisedStage(Record):
    """What the supervised stage minimises, and on which rows."""

    seed: Seed = 0
    """Draws the order of the rows."""

    objective: Literal["sft", "poft"] = "sft"
    """`sft`: cross-entropy of the response tokens; `poft`: PoFT, which needs `aligned` models."""

    poft: Poft = Poft()
    """Read by the objective `poft`."""

    keep: Share = 1.0
    """Share of the rows that is trained on: those with the highest mean score of the `aligned` models."""

    data: SupervisedData | None = None
    """Rows to train on; without it the chosen responses of the sweep's training file, or the embedded task's rows."""

    @property
    def needs_scores(self) -> bool:
        """Whether the aligned models' scores enter."""
        return self.objective == "poft" or self.keep < 1

    def recipe(self) -> dict[str, Any]:
        """What decides the weights; what was added later is named only where it does."""
        settings = self.model_dump(mode="json", exclude={"objective", "poft", "keep", *_ELSEWHERE})
        if self.objective == "poft":
            settings |= {"objective": "poft", "poft": self.poft.model_dump(mode="json")}
        return settings if self.keep == 1 else {**settings, "keep": self.keep}


_ELSEWHERE = ("save_steps", "data", "chat_template")
"""How often weights are saved decides nothing; rows and template stand in a cell's recipe by what they hold."""


class Sft(SupervisedStage):
    """Supervised stage of a from-scratch reference: AdamW with a cosine schedule."""

    num_train_epochs: Count = 1
    batch_size: Count = 64
    learning_rate: Positive = 3e-3
    warmup_ratio: Fraction = 0.1
    weight_decay: Annotated[Finite, Field(ge=0)] = 0.01


def _told(learning_rate: Any) -> Any:
    if learning_rate is None:
        raise ValueError(
            "a checkpoint needs one of its own; usual for a 7B model are 2e-5 with sft (zephyr-7b-sft-full) and 1e-6 "
            "with poft (its authors' code)"
        )
    return learning_rate


class CheckpointSft(SupervisedStage, TrainerSettings):
    """Supervised stage of a checkpoint: `training`'s keys, with a default for every one but the learning rate, since
    what suits a model from scratch would wreck a pretrained one."""

    learning_rate: Annotated[Positive, BeforeValidator(_told)] = Field(default=None, validate_default=True)

    lr_scheduler_type: Scheduler = "cosine"

    chat_template: str | None = None
    """A file with the chat template that it is to learn, in Jinja; without it the tokenizer's own."""

    def recipe(self) -> dict[str, Any]:
        """An adapter with its defaults, or nothing of adapters."""
        settings = super().recipe()
        del settings["lora"]
        return settings if self.lora is None else {**settings, "lora": self.lora.recipe()}


Recipe = Literal["sft", "poft", "poft-shuffled", "filter+sft", "filter+poft"]
"""A named way of the supervised stage.

- `sft`, `poft`: the objective, on all rows.
- `poft-shuffled`: PoFT with scores of other rows, the placebo: what PoFT does that has nothing to do with its scores.
- `filter+sft`, `filter+poft`: on the rows that the aligned models like best, the simplest other use of the scores.
"""


class References(Record):
    """Several references in one sweep: each recipe under each share of swapped outputs, one a seed.

    Every method is trained from each. Reference, preference data and training have the same seed, so intervals over
    seeds cover all of them.
    """

    recipes: Grid[Recipe] = ("sft", "poft", "poft-shuffled", "filter+sft", "filter+poft")

    swapped: Grid[Fraction] = (0.0,)
    """`data.swapped` of each."""

    keep: Share = 0.5
    """`reference.sft.keep` of the filter's recipes."""


_Stage = TypeVar("_Stage", bound=SupervisedStage)


def with_recipe(sft: _Stage, recipe: Recipe, keep: float) -> _Stage:
    """The settings with the recipe's own; `keep` is the share of rows a filter keeps."""
    filtered = recipe.startswith("filter+")
    poft = sft.poft.model_copy(update={"scores": "shuffled" if recipe == "poft-shuffled" else "own"})
    objective = "poft" if "poft" in recipe else "sft"
    return sft.model_copy(update={"objective": objective, "poft": poft, "keep": keep if filtered else 1.0})
