"""Replies kept for good: one small file each, found by what was asked of which judge and how.

    FOLDER/ab/abcdef....json     a StoredReply; the name is its key

A file appears by one rename, so any number of processes can share the folder, and a killed one leaves nothing half
written. Nothing is flushed to the disk: a file that a crash of the machine damaged is no reply, and is asked for again.
"""

import os
from pathlib import Path

from pydantic import ValidationError

from epa_bench.core.digest import digest_of
from epa_bench.core.files import storage_errors
from epa_bench.judges.records import JudgeDecoding, Question, StoredReply


def reply_key(model: str, decoding: JudgeDecoding, question: Question) -> str:
    """Digest of judge model, decoding parameters, prompt template and both texts.

    Not of the endpoint: the same model elsewhere is the same judge, and a local server's port means nothing.
    """
    return digest_of(["reply", model, decoding.model_dump(mode="json"), question.asked])


class ReplyCache:
    """A folder of replies that could be read as verdicts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        """Files that held no reply."""

    def get(self, key: str) -> StoredReply | None:
        """The reply, or None where there is none or its file is damaged (counted)."""
        path = self._path(key)
        with storage_errors(path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            stored = StoredReply.model_validate_json(content)
        except ValidationError:
            self.damaged += 1
            return None
        return stored if stored.key == key else None

    def put(self, stored: StoredReply) -> None:
        """Keeps a reply. Raises StoreError where the disk is full or the folder not writable."""
        path = self._path(stored.key)
        staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(stored.model_dump_json(exclude_none=True).encode() + b"\n")
            os.replace(staged, path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
