"""The schema of suite.yaml: one model a kind."""

from typing import Annotated, Literal

from pydantic import Field

from epa_bench.core.records import Record
from epa_bench.engines.protocol import Decoding


class _Suite(Record):
    description: str
    """One line for `epa-bench suites`."""

    limit: Annotated[int, Field(ge=1)] | None = None
    """Take only the first evaluation prompts."""


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


SuiteDefinition = Annotated[
    PairwiseSuite | GenerationSuite | RewardAccuracySuite | LinearitySuite, Field(discriminator="kind")
]
