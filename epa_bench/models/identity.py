"""Where a checkpoint is and what it is, without importing torch: the address of every cell starts here."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from epa_bench.config.schema import GivenCheckpoint
from epa_bench.core.digest import digest_of, folder_digest
from epa_bench.core.errors import CheckpointError
from epa_bench.models.adapter_files import CONFIG_FILE, Adapter, check_fits, is_adapter, read_adapter

CONTENT = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "*.py"]
"""What decides a checkpoint's answers: weights, configuration, tokenizer, chat template, and the code that
`trust_remote_code` would run. Never pickled files."""


@dataclass(frozen=True)
class CheckpointFolders:
    """A checkpoint on this machine's disk."""

    path: Path
    """Holds whole weights, or an adapter."""

    adapter: Adapter | None = None
    """What `path` holds, if it is an adapter."""

    base: Path | None = None
    """The whole weights that the adapter belongs to."""


@dataclass(frozen=True)
class CheckpointIdentity:
    """A checkpoint on this machine's disk, and what it is."""

    path: Path
    digest: str
    """Of the files' content: moving or renaming the folder changes nothing, one changed weight everything."""

    base: Path | None = None
    """Where `path` holds an adapter: the folder of the weights that it belongs to, whose content counts as well."""


def identify(
    reference: GivenCheckpoint, bases: Mapping[str, Path] | None = None, section: str = "reference"
) -> CheckpointIdentity:
    """The checkpoint that `locate` finds, with its digest. Raises CheckpointError as `locate` does."""
    found = locate(reference, bases, section)
    if found.adapter is None or found.base is None:
        return CheckpointIdentity(found.path, content_digest(found.path))
    content = {
        "base": content_digest(found.base),
        "settings": dict(found.adapter.settings),
        # What the base is called is in it; what the base is stands above.
        "files": folder_digest(found.path, CONTENT, without=[CONFIG_FILE]),
    }
    return CheckpointIdentity(found.path, digest_of(content), found.base)


def check_context(checkpoint: CheckpointIdentity, max_length: int) -> None:
    """Raises CheckpointError where its config.json says that sequences of `max_length` tokens do not fit.

    Opening the model says so too, but after hours of what comes before.
    """
    try:
        config = json.loads(((checkpoint.base or checkpoint.path) / "config.json").read_text(encoding="utf-8"))
        positions = config.get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        # Transformers says what is wrong with it.
        return
    if isinstance(positions, int) and max_length > positions:
        raise too_long(checkpoint.path, max_length, positions)


def too_long(folder: Path, max_length: int, positions: int) -> CheckpointError:
    """What to do about sequences that a checkpoint has no positions for."""
    return CheckpointError(
        f"max_length is {max_length} tokens, the model in {folder} has a context of {positions}; set "
        f"data.max_length (judge.max_length of a judge) to {positions} or less"
    )


def content_digest(folder: Path) -> str:
    """Of a folder with whole weights: what `identify` says it is."""
    return folder_digest(folder, CONTENT)


def locate(
    reference: GivenCheckpoint, bases: Mapping[str, Path] | None = None, section: str = "reference"
) -> CheckpointFolders:
    """Finds a local folder, or the local copy of a hub checkpoint at its pinned revision (downloading it if it can).

    Of an adapter also its base, likewise: a folder (from here, or from the adapter's own folder) or a pinned hub name.
    `bases`: folders of bases by what adapters call them, where that is no place; a sweep's adapters name a digest.
    `section`: of the sweep file, which names the checkpoint.
    Raises CheckpointError where one of them is absent, holds no safetensors weights, is a hub name without a revision,
    or where the adapter is no plain LoRA or does not fit its base.
    """
    key = f"`{section}.path`"
    path = find_folder(reference.path, reference.revision, key, f"pin it with `{section}.revision: COMMIT`")
    if not is_adapter(path):
        _check_whole(path, key)
        return CheckpointFolders(path)
    adapter = read_adapter(path)
    base = (bases or {}).get(adapter.base) or _find_base(adapter)
    if is_adapter(base):
        raise CheckpointError(f"the base of the adapter in {path}, {base}, is an adapter itself; merge that one first")
    _check_whole(base, key)
    check_fits(adapter, base)
    return CheckpointFolders(path, adapter, base)


def find_folder(name: str, revision: str | None, key: str, pin: str) -> Path:
    """The folder of that name, or the local copy of the hub's checkpoint (downloading it if it can).

    `key`: where the name stands; `pin`: how to give it a revision there. Raises CheckpointError.
    """
    return Path(name) if Path(name).is_dir() else _download(name, revision, key, pin)


def _find_base(adapter: Adapter) -> Path:
    for folder in (Path(adapter.base), adapter.folder / adapter.base):
        if folder.is_dir():
            return folder
    # A branch or a tag can move.
    commit = adapter.revision if re.fullmatch("[0-9a-f]{40}", adapter.revision or "") else None
    key = f"`base_model_name_or_path` in {adapter.folder / CONFIG_FILE}"
    return _download(adapter.base, commit, key, 'pin it there with `"revision": "COMMIT"`')


def _check_whole(path: Path, key: str) -> None:
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{path} holds no config.json; {key} names a Hugging Face checkpoint folder")
    if not any(path.glob("*.safetensors")):
        raise CheckpointError(
            f"{path} holds no *.safetensors weights. Pickled weights are not loaded: convert the checkpoint with "
            "`model.save_pretrained(folder)` and name that folder."
        )


def _download(name: str, revision: str | None, key: str, pin: str) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"{key}: no checkpoint folder at {name}, and not the name of a hub checkpoint (org/name); correct the path "
            f"(relative paths start at {Path.cwd()})"
        )
    if revision is None:
        raise CheckpointError(f"{key}: {name} is a hub name: {pin}, or name a folder")
    # Imported here: most sweeps never need the hub.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=CONTENT))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot fetch {name} at {revision}: {str(error).splitlines()[0]}. Offline, copy the checkpoint to a "
            f"folder and set {key} to it."
        ) from error
