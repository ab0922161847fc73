"""Reference log-probabilities, computed once for a sweep and shared by methods, betas and seeds.

One folder a reference (by content), in it immutable shards named by the SHA-256 of their bytes: two processes never
write the same file differently, a killed one leaves no shard, and a damaged shard is noticed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from epa_bench.core.errors import StoreError
from epa_bench.core.files import atomic_write_text, read_records
from epa_bench.core.records import ReferenceScore


class ReferenceCache:
    """The cached scores of one reference model, by `sequence_key`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> dict[str, ReferenceScore]:
        """Every cached score. Raises StoreError for a shard whose bytes are not what its name says."""
        scores: dict[str, ReferenceScore] = {}
        for shard in sorted(self._folder.glob("*.jsonl")):
            if hashlib.sha256(shard.read_bytes()).hexdigest() != shard.stem:
                raise StoreError(
                    f"{shard} is damaged; delete it and the store's cells/reference_scores, and run again: only its "
                    "scores are recomputed"
                )
            scores |= {score.key: score for score in read_records(shard, ReferenceScore)}
        return scores

    def add(self, scores: Sequence[ReferenceScore]) -> None:
        """Writes one shard."""
        text = "".join(score.model_dump_json() + "\n" for score in scores)
        atomic_write_text(self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.jsonl", text)
