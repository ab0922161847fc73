"""The `judge` section of a sweep."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, model_validator

from epa_bench.config.engine import Engine
from epa_bench.config.values import Commit, Count, Positive, conflict
from epa_bench.core.records import Finite, Record


class GoldJudge(Record):
    """The embedded task's programmatic reward as a Bradley-Terry judge."""

    kind: Literal["gold"] = "gold"


class Prices(Record):
    """What the judge's provider charges."""

    input: Annotated[Finite, Field(ge=0)]
    """Dollars per million prompt tokens."""

    output: Annotated[Finite, Field(ge=0)]
    """Dollars per million generated tokens."""


class Budget(Record):
    """What judging may cost in all, over every run of the sweep. Reaching it keeps what is finished and stops."""

    dollars: Annotated[Finite, Field(ge=0)] | None = None

    calls: Annotated[int, Field(ge=0)] | None = None
    """Calls that the judge replied to, whether or not the reply was a verdict, and those in flight when a run was
    killed."""


class AskedJudge(Record):
    """A language model that is asked: what it says instead of what the suite's protocol asks for."""

    temperature: Annotated[Finite, Field(ge=0)] | None = None
    max_tokens: Count | None = None
    top_logprobs: Annotated[int, Field(ge=1, le=20)] | None = None

    def decoding(self) -> dict[str, Any]:
        """Those that are set."""
        return self.model_dump(include={"temperature", "max_tokens", "top_logprobs"}, exclude_none=True)


class ApiJudge(AskedJudge):
    """A language model behind an OpenAI-compatible chat endpoint: a provider's, or a local server's."""

    kind: Literal["api"]
    model: Annotated[str, Field(min_length=1)]
    """As the endpoint names it. Verdicts are kept under this name, whatever the endpoint."""

    base_url: str
    """Without the trailing `/chat/completions`: https://api.openai.com/v1, http://127.0.0.1:8000/v1."""

    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself is never written anywhere. None sends no
    key."""

    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further keys of the request: `{chat_template_kwargs: {enable_thinking: false}}` for a local judge that thinks."""

    concurrency: Count = 32
    """Calls in flight at a time, in all sweeps on this store."""

    timeout: Positive = 120.0
    """Seconds a call may take from its first byte to its last."""

    retries: Annotated[int, Field(ge=0)] = 6
    """Further attempts after a broken connection or an answer of 408, 409, 429 or 5xx."""

    prices: Prices | None = None
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _check_without_showing(self) -> Self:
        # A key may have been pasted into any of these, so no message shows the value.
        if self.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.api_key_env):
            raise conflict("api_key_env must be the name of an environment variable, not the key", "api_key_env")
        if not _is_plain_url(self.base_url):
            raise conflict(
                "base_url must be http://HOST/PATH or https://HOST/PATH, without user, password, query or "
                "/chat/completions",
                "base_url",
            )
        own = {"model", "messages", "temperature", "max_tokens", "logprobs", "top_logprobs", "stream", "n"}
        if taken := own & set(self.extra_body):
            raise conflict(f"extra_body cannot hold {', '.join(sorted(taken))}", "extra_body")
        if self.budget.dollars is not None and self.prices is None:
            raise conflict("a budget in dollars needs prices", "budget")
        return self

    def identity(self) -> dict[str, Any]:
        """What decides a verdict besides the question: a cell's recipe holds this, not the endpoint or the budget."""
        return self.model_dump(
            mode="json", include={"kind", "model", "temperature", "max_tokens", "top_logprobs", "extra_body"}
        )


def _is_plain_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 - raises where it is not a number
    except ValueError:
        return False
    bare = not (url.query or url.fragment or "@" in url.netloc or url.path.rstrip("/").endswith("/chat/completions"))
    return url.scheme in ("http", "https") and bool(url.hostname) and bare


class RecordedJudge(Record):
    """Replies of a judge that were recorded before. Nothing is asked; what is missing is an error row."""

    kind: Literal["recorded"]
    path: str
    """JSON lines as a run with an `api` judge writes them."""


class LocalJudge(AskedJudge):
    """A checkpoint on this machine, loaded and asked in this process: no endpoint, and log-probs of any token."""

    kind: Literal["local"]
    path: str
    """A Hugging Face checkpoint folder, or a hub name."""

    revision: Commit | None = None
    """Commit of a hub checkpoint; required for a hub name."""

    template: Literal["chat", "plain"] = "chat"
    """`chat`: the tokenizer's own chat template; `plain`: the text of a question's messages, joined by empty lines."""

    max_length: Count = 4096
    """Tokens of a question and its reply; a longer one is an error row."""

    trust_remote_code: bool = False
    """Runs Python code that ships with the checkpoint. Leave it off unless you have read that code."""

    engine: Engine = Engine(batch_size=16, dtype="bfloat16")

    @model_validator(mode="after")
    def _no_script(self) -> Self:
        if self.engine.script is not None:
            raise conflict("a judge has no script; judge: {kind: recorded, path: FILE} replays replies", "engine")
        return self


Judge = Annotated[GoldJudge | ApiJudge | LocalJudge | RecordedJudge, Field(discriminator="kind")]
