"""Publishing one checkpoint of a sweep on the Hugging Face hub."""

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils.tqdm import disable_progress_bars

from epa_bench.config.schema import CheckpointReference, Reference
from epa_bench.core.code import checkout_commit
from epa_bench.core.errors import ConfigError, HubError
from epa_bench.core.store import CellSpec
from epa_bench.models.card import CARD_FILE, published_card
from epa_bench.pipeline.run import Run
from epa_bench.steps.context import checkpoint_folder

TOKEN = "HF_TOKEN"
"""Environment variable of the hub's token, the only place it is read from. It is never written anywhere."""

_REFUSALS = {
    401: f"does not take the token in {TOKEN}: it is wrong or has expired; make one with write access",
    403: f"does not let the token in {TOKEN} write there; name a repository of your own, or use a token that may",
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """What now stands on the hub."""

    url: str
    commit: str
    files: int


def push_checkpoint(run: Run, arm: str, seed: int, repo: str, *, private: bool) -> Pushed:
    """Uploads a trained checkpoint with its card, as one commit; makes the repository if there is none.

    Raises ConfigError for an arm or seed the sweep does not have, a repository's name that is none, or a missing
    token; StoreError where the checkpoint is not trained yet or damaged; HubError where the hub refuses.
    """
    cell = _trained(run, arm, seed)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise ConfigError(f"--repo: expected OWNER/NAME, got {repo!r}")
    token = os.environ.get(TOKEN, "")
    if not token:
        raise ConfigError(f"set the environment variable {TOKEN} to a token of the hub with write access")
    folder = checkpoint_folder(run.store.open(cell))
    provenance = {
        "sweep": run.sweep.name,
        "arm": arm,
        "seed": str(seed),
        "cell": cell.digest,
        "epa-bench commit": checkout_commit() or "not from a checkout",
    }
    card = published_card(folder, provenance, _hub_name(run.sweep.reference))
    operations = [
        CommitOperationAdd(path.relative_to(folder).as_posix(), card.encode() if path.name == CARD_FILE else path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    disable_progress_bars()
    api = HfApi(token=token)
    with _hub_errors(api.endpoint, repo, token):
        # None leaves it to the owner's own default.
        url = api.create_repo(repo, private=private or None, exist_ok=True)
        message = f"{arm}, seed {seed}, of the sweep {run.sweep.name}"
        commit = api.create_commit(repo, operations, commit_message=message)
    return Pushed(str(url), commit.oid, len(operations))


def _trained(run: Run, arm: str, seed: int) -> CellSpec:
    arms = {found.name: found for found in run.cells.arms}
    if arm not in arms:
        close = difflib.get_close_matches(arm, arms, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(arms)}"
        raise ConfigError(f"the sweep {run.sweep.name} has no arm {arm}; {hint}")
    if seed not in arms[arm].seeds:
        raise ConfigError(f"--seed: {arm} is trained with {', '.join(map(str, arms[arm].seeds))}, got {seed}")
    return next(
        checkpoint.cell
        for checkpoint in run.cells.checkpoints
        if checkpoint.cell is not None and checkpoint.arm == arms[arm] and checkpoint.seed == seed
    )


def _hub_name(reference: Reference) -> str | None:
    """The reference's name on the hub, where it was named by that; one that the sweep made has none."""
    if not isinstance(reference, CheckpointReference) or reference.sft or Path(reference.path).is_dir():
        return None
    return reference.path


@contextmanager
def _hub_errors(endpoint: str, repo: str, token: str) -> Iterator[None]:
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = _REFUSALS.get(status) or f"answered {status}: {_first_line(error, token)}"
        raise HubError(f"{repo}: {endpoint} {reason}.") from None
    except OfflineModeIsEnabled:
        raise HubError(f"{repo}: HF_HUB_OFFLINE is set, so nothing is sent; unset it to push.") from None
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        # Connections, uploads of single files, answers that are not the hub's.
        raise HubError(f"{repo}: cannot upload to {endpoint}: {_first_line(error, token)}.") from None


def _first_line(error: Exception, token: str) -> str:
    """Whatever a server echoes, the token is not in it."""
    lines = str(error).replace(token, TOKEN).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
