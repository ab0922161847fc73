"""The schema of suite.yaml: one model a kind."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from epa_bench.config.values import Name
from epa_bench.core.records import Record
from epa_bench.engines.protocol import Decoding
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
    mismatched: Annotated[int, Field(ge=1)] = 4
    """Responses of other prompts added to a prompt's own."""


class AlpacaEvalSuite(SourcedSuite):
    """AlpacaEval 2. Roles of its sources: `reference` (prompts and reference answers), `df_gamed`, `judge_prompt`."""

    kind: Literal["alpaca_eval"]


class MtBenchSuite(SourcedSuite):
    """MT-Bench. Roles of its sources: `questions`, `judge_prompts`, and `references_NAME` for a set of references."""

    kind: Literal["mt_bench"]
    references: Literal["gpt-4", "gpt-4-0125-preview"] = "gpt-4"
    """Whose answers the judge is shown beside those to reasoning, math and coding questions."""

    @property
    def roles(self) -> tuple[str, str, str]:
        """Questions, references and judge prompts, as the sources are called."""
        return "questions", f"references_{self.references}", "judge_prompts"

    @model_validator(mode="after")
    def _has_its_sources(self) -> Self:
        for role in self.roles:
            if role not in self.sources:
                raise ValueError(f"sources: `{role}` is required")
        return self


SuiteDefinition = Annotated[
    PairwiseSuite | GenerationSuite | RewardAccuracySuite | LinearitySuite | AlpacaEvalSuite | MtBenchSuite,
    Field(discriminator="kind"),
]
