"""Where a checkpoint is and what it is, without importing torch: the address of every cell starts here."""

from dataclasses import dataclass
from pathlib import Path

from epa_bench.config.schema import CheckpointReference
from epa_bench.core.digest import folder_digest
from epa_bench.core.errors import CheckpointError

CONTENT = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.py"]
"""What decides a checkpoint's answers: weights, configuration, tokenizer, chat template, and the code that
`trust_remote_code` would run. Never pickled files."""


@dataclass(frozen=True)
class CheckpointIdentity:
    """A checkpoint on this machine's disk."""

    path: Path
    digest: str
    """Of the files' content: moving or renaming the folder changes nothing, one changed weight everything."""


def identify(reference: CheckpointReference) -> CheckpointIdentity:
    """Finds a local folder, or the local copy of a hub checkpoint at its pinned revision (downloading it if it can).

    Raises CheckpointError where it is absent, holds no safetensors weights, or is a hub name without a revision.
    """
    path = Path(reference.path)
    if not path.is_dir():
        path = _download(reference)
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{path} holds no config.json; `reference.path` names a Hugging Face checkpoint folder")
    if not any(path.glob("*.safetensors")):
        raise CheckpointError(
            f"{path} holds no *.safetensors weights. Pickled weights are not loaded: convert the checkpoint with "
            "`model.save_pretrained(folder)` and name that folder."
        )
    return CheckpointIdentity(path, folder_digest(path, CONTENT))


def _download(reference: CheckpointReference) -> Path:
    if reference.path.count("/") != 1 or reference.path.startswith((".", "/", "~")):
        raise CheckpointError(f"no checkpoint folder at {reference.path}")
    if reference.revision is None:
        raise CheckpointError(
            f"`reference.path: {reference.path}` is a hub name: pin it with `reference.revision: COMMIT`, or name a "
            "folder"
        )
    # Imported here: most sweeps never need the hub.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(reference.path, revision=reference.revision, allow_patterns=CONTENT))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot fetch {reference.path} at {reference.revision}: {str(error).splitlines()[0]}. Offline, copy the "
            "checkpoint to a folder and set `reference.path` to it."
        ) from error
