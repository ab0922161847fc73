"""The schema of suite.yaml: one model a kind."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from epa_bench.config.values import Name
from epa_bench.core.records import Record
from epa_bench.engines.protocol import Decoding
from epa_bench.judges.pairs import PairwiseReading
from epa_bench.suites.bench_values import Scoring
from epa_bench.suites.lm_eval_data import TaskName
from epa_bench.suites.reward_bench import AGGREGATIONS, LATEST, REWARD_BENCH_ROWS, SUBSET_OF_ROLE
from epa_bench.suites.sources import Source


class _Suite(Record):
    description: str
    """One line for `epa-bench suites`."""

    limit: Annotated[int, Field(ge=1)] | None = None
    """Take only the first evaluation prompts."""


class SourcedSuite(_Suite):
    """A suite whose prompts are published elsewhere."""

    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """What the suite takes from others, by the role it plays; `epa-bench suites fetch` brings it here."""

    @property
    @abstractmethod
    def roles(self) -> tuple[str, ...]:
        """Of the sources, those that the suite needs as it is set."""

    @property
    def needed(self) -> dict[str, Source]:
        """The sources of those roles."""
        return {role: self.sources[role] for role in self.roles}

    @model_validator(mode="after")
    def _has_its_sources(self) -> Self:
        for role in self.roles:
            if role not in self.sources:
                raise ValueError(f"sources: `{role}` is required")
        return self


class PairwiseSuite(_Suite):
    """AlpacaEval's protocol: every answer against the baseline's answer to the same prompt."""

    kind: Literal["pairwise"]
    baseline: Literal["reference"] = "reference"
    """Whose answers are the other side: the model every method started from."""

    decoding: Decoding


class GenerationSuite(_Suite):
    """What the answers look like, without a judge."""

    kind: Literal["generation"]
    decoding: Decoding


class RewardAccuracySuite(_Suite):
    """The implicit reward's order on held-out pairs."""

    kind: Literal["reward_accuracy"]


class LinearitySuite(_Suite):
    """The implicit reward against the gold reward, per prompt."""

    kind: Literal["linearity"]
    mismatched: Annotated[int, Field(ge=0)] = 4
    """Responses of other prompts added to a prompt's own; none where they have no gold score, as over files."""


class OffSupportSuite(_Suite):
    """A prompt's own responses against mismatched ones."""

    kind: Literal["off_support"]
    mismatched: Annotated[int, Field(ge=1)] = 4
    """Responses of other prompts set against a prompt's own."""


class DisplacementSuite(_Suite):
    """What training did to the log-probabilities of held-out pairs."""

    kind: Literal["displacement"]


class CalibrationSuite(_Suite):
    """Whether sigmoid(margin) is a probability."""

    kind: Literal["calibration"]


class BestOfNSuite(_Suite):
    """What the implicit reward picks among a prompt's own responses."""

    kind: Literal["best_of_n"]


ProbeSuite = (
    RewardAccuracySuite | LinearitySuite | OffSupportSuite | DisplacementSuite | CalibrationSuite | BestOfNSuite
)
"""Suites computed from one score pass of policy and reference over the evaluation rows."""


class AlpacaEvalSuite(SourcedSuite):
    """AlpacaEval 2. Roles of its sources: `reference` (prompts and reference answers), `df_gamed`, `judge_prompt`."""

    kind: Literal["alpaca_eval"]

    decoding: Decoding
    """AlpacaEval prescribes none; results state it."""

    judging: PairwiseReading = PairwiseReading()

    length_control: bool = True
    """Also give length-controlled win rates, for which `df_gamed` must be there."""

    @property
    def roles(self) -> tuple[str, ...]:
        return ("reference", "judge_prompt", *["df_gamed"] * self.length_control)


class MtBenchSuite(SourcedSuite):
    """MT-Bench. Roles of its sources: `questions`, `judge_prompts`, and `references_NAME` for a set of references."""

    kind: Literal["mt_bench"]
    mode: Literal["single", "pair"] = "single"
    """`single`: the judge rates every answer; `pair`: it compares it with the reference checkpoint's, both orders."""

    references: Literal["gpt-4", "gpt-4-0125-preview"] = "gpt-4"
    """Whose answers the judge is shown beside those to reasoning, math and coding questions."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 1024
    """Of an answer to one turn. The temperature is the category's."""

    seed: int = 0
    """Of the answers' draws."""

    @property
    def roles(self) -> tuple[str, str, str]:
        """Questions, references and judge prompts, as the sources are called."""
        return "questions", f"references_{self.references}", "judge_prompts"


JudgedSuite = PairwiseSuite | AlpacaEvalSuite | MtBenchSuite
"""A judge reads the checkpoints' answers."""

AnsweredSuite = GenerationSuite | JudgedSuite
"""The checkpoints answer prompts."""


class KlSuite(_Suite):
    """How far a checkpoint went from the reference, on its own answers."""

    kind: Literal["kl"]
    decoding: Decoding

    @model_validator(mode="after")
    def _samples_the_policy(self) -> Self:
        if self.decoding.temperature != 1:
            raise ValueError(
                f"decoding.temperature: the KL is a mean over answers of the policy itself, which are drawn at 1, got "
                f"{self.decoding.temperature:g}"
            )
        return self


class RewardBenchSuite(SourcedSuite):
    """RewardBench, or LLMBar. Roles of its sources: `rows.parquet`, or a subset (in lower case) for LLMBar's layout."""

    kind: Literal["reward_bench"]
    scoring: Scoring = "implicit"
    """What is compared: log-ratios to the reference, or log-probs without it, summed or per token."""

    aggregation: str = LATEST
    """Whose counts weigh subsets in sections, by commit of allenai/reward-bench."""

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.sources)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if self.aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation: expected one of {', '.join(AGGREGATIONS)}, got {self.aggregation!r}")
        unknown = [role for role in self.sources if role != REWARD_BENCH_ROWS and role not in SUBSET_OF_ROLE]
        if unknown:
            raise ValueError(
                f"sources: expected `{REWARD_BENCH_ROWS}` or a subset of RewardBench, got {', '.join(unknown)}"
            )
        return self


class RewardBench2Suite(_Suite):
    """RewardBench 2."""

    kind: Literal["reward_bench_2"]
    data: str | None = None
    """File of the test split of allenai/reward-bench-2, Parquet or JSON lines; a sweep must give it."""

    scoring: Scoring = "implicit"


BenchSuite = RewardBenchSuite | RewardBench2Suite
"""Suites that score a benchmark's own prompts and answers."""


class GoldenSuite(_Suite):
    """Fixed inputs through the parts of a sweep that no training changes, for the golden values of a gate."""

    kind: Literal["golden"]


class LmEvalTask(Record):
    """A task or group of lm-eval, and how it is asked."""

    metric: str
    """The one in the table, as lm-eval names it, the filter behind a comma where the task has several."""

    unit: Literal["%", ""] = "%"
    """`%` for shares between 0 and 1."""

    better: Literal["higher", "lower"] = "higher"

    num_fewshot: Annotated[int, Field(ge=0)] = 0

    chat_template: bool
    """Whether prompts are rendered with the checkpoint's chat template, or go in as plain text."""

    fewshot_as_multiturn: bool = False
    """Shots as turns of the conversation, not as text in its first one."""

    def asked(self) -> dict[str, Any]:
        """What decides the model's answers; how they are shown does not."""
        return self.model_dump(mode="json", include={"num_fewshot", "chat_template", "fewshot_as_multiturn"})

    @model_validator(mode="after")
    def _turns_need_a_template(self) -> Self:
        if self.fewshot_as_multiturn and not self.chat_template:
            raise ValueError("fewshot_as_multiturn needs chat_template: true")
        return self


class LmEvalSuite(_Suite):
    """Tasks of lm-eval, each on its own: what is gained or lost beside the preferences. `limit` is each task's."""

    kind: Literal["lm_eval"]
    tasks: Annotated[dict[TaskName, LmEvalTask], Field(min_length=1)]

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The suite's own, which may hold tasks' data."""
        return self._folder

    def in_folder(self, folder: Path) -> Self:
        """The suite as it was found in a folder."""
        found = self.model_copy()
        found._folder = folder
        return found


SuiteDefinition = Annotated[
    PairwiseSuite
    | GenerationSuite
    | ProbeSuite
    | KlSuite
    | BenchSuite
    | AlpacaEvalSuite
    | MtBenchSuite
    | LmEvalSuite
    | GoldenSuite,
    Field(discriminator="kind"),
]
