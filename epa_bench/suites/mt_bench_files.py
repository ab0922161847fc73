"""FastChat's files of MT-Bench, row by row: questions, answers, judge prompts, judgments.

Formats of lm-sys/FastChat at 587d5cf, fastchat/llm_judge. Read with `core.files.read_records`, which names file and row
of everything that does not fit, and written with `write_records`: FastChat takes any JSON lines.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from epa_bench.core.records import Finite, Record

Category = Literal["writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"]
"""In the order of the questions: ten each, from question 81."""

Turn = Literal[1, 2]

FIRST_QUESTION, LAST_QUESTION = 81, 160

QuestionId = Annotated[int, Field(ge=FIRST_QUESTION, le=LAST_QUESTION)]

FAILED = -1
"""What FastChat writes as the score of a judgment that failed or could not be read."""


class _Row(Record):
    """Forks of FastChat add keys of their own; nothing here depends on them."""

    model_config = ConfigDict(extra="ignore")


class MtQuestion(_Row):
    """A row of question.jsonl."""

    question_id: QuestionId
    category: Category
    turns: tuple[str, str]


class Choice(_Row):
    """One answer to both turns; FastChat judges the first of an answer's choices."""

    index: int
    turns: tuple[str, str]


class ModelAnswer(_Row):
    """A row of model_answer/MODEL.jsonl, and of reference_answer/MODEL.jsonl."""

    question_id: QuestionId
    answer_id: str
    model_id: str
    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]
    tstamp: Finite

    @property
    def turns(self) -> tuple[str, str]:
        return self.choices[0].turns


class JudgePrompt(_Row):
    """A row of judge_prompts.jsonl."""

    name: str
    type: Literal["single", "pairwise"]
    system_prompt: str
    prompt_template: str
    description: str
    category: str
    output_format: str


class SingleJudgment(_Row):
    """A row of model_judgment/JUDGE_single.jsonl."""

    question_id: QuestionId
    model: str
    judge: tuple[str, str]
    """Name of the judge, and of the judge prompt."""

    user_prompt: str
    judgment: str
    score: Finite
    """1 to 10, or FAILED; FastChat itself bounds nothing."""

    turn: Turn
    tstamp: Finite


Winner = Literal["model_1", "model_2", "tie", "error"]


class PairJudgment(_Row):
    """A row of model_judgment/JUDGE_pair.jsonl. Game 1 shows model_1 as assistant A, game 2 model_2."""

    question_id: QuestionId
    model_1: str
    model_2: str
    g1_winner: Winner
    g2_winner: Winner
    judge: tuple[str, str]
    g1_user_prompt: str
    g1_judgment: str
    g2_user_prompt: str
    g2_judgment: str
    turn: Turn
    tstamp: Finite

    @model_validator(mode="after")
    def _two_models(self) -> Self:
        if self.model_1 == self.model_2:
            raise ValueError(f"{self.model_1} is compared with itself")
        return self
