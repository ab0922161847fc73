"""Who attends to whom in a packed row, as tables that every layer of a forward pass shares.

Shapes: T packed tokens, M segments, B segments of one bucket, Q query slots and C key slots of a bucket's segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_BATCHED_UP_TO = 256
"""Keys of a segment up to which segments of like shape share one attention call. Below, a call costs more than the
padding; above, the padding costs more than the call (measured with heads of 32 to 128 on one CPU thread)."""

_GRID = 16
"""Lengths are rounded up to multiples of this to find segments of like shape."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive packed tokens that attend causally to each other and to all of a prefix before them."""

    start: int
    length: int
    prefix_start: int = 0
    prefix_length: int = 0

    @property
    def keys(self) -> int:
        return self.prefix_length + self.length

    @property
    def key_rows(self) -> Tensor:
        """Packed positions it attends to, in order: causal attention aligned to the end of both sides."""
        prefix = torch.arange(self.prefix_start, self.prefix_start + self.prefix_length)
        return torch.cat([prefix, torch.arange(self.start, self.start + self.length)])


@dataclass(frozen=True, slots=True)
class Bucket:
    """Segments of like shape, padded to one shape."""

    query_rows_BQ: Tensor
    key_rows_BC: Tensor

    mask_B1QC: Tensor | None
    """True where a query slot may see a key slot; None where attention is plainly causal."""


@dataclass(frozen=True, slots=True)
class VarlenTable:
    """What FlashAttention's variable-length kernel needs: M segments end to end."""

    key_rows: Tensor
    """Packed position of every key, segment after segment; a prompt's keys once for each segment behind it."""

    query_starts: Tensor
    """[M + 1], int32, cumulative lengths."""

    key_starts: Tensor
    """[M + 1], int32, cumulative lengths."""

    longest_query: int
    longest_key: int


@dataclass(frozen=True)
class AttentionLayout:
    """The segments of a packed row. The tables are made when first asked for and shared by all layers."""

    segments: tuple[Segment, ...]
    """In the order of their tokens; together they cover the row."""

    device: torch.device

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Segments of like shape together."""
        return tuple(_bucket(group, self.device) for group in self._groups)

    @cached_property
    def restore_T(self) -> Tensor:
        """For each packed position its place in the buckets' outputs, one bucket's B x Q slots after the other."""
        slots: dict[int, Tensor] = {}
        offset = 0
        for group in self._groups:
            queries = max(segment.length for segment in group)
            for segment in group:
                slots[segment.start] = torch.arange(offset, offset + segment.length)
                offset += queries
        return torch.cat([slots[start] for start in sorted(slots)]).to(self.device)

    @cached_property
    def varlen(self) -> VarlenTable:
        """All segments end to end."""
        lengths = [segment.length for segment in self.segments]
        keys = [segment.keys for segment in self.segments]
        return VarlenTable(
            key_rows=torch.cat([segment.key_rows for segment in self.segments]).to(self.device),
            query_starts=_starts(lengths, self.device),
            key_starts=_starts(keys, self.device),
            longest_query=max(lengths),
            longest_key=max(keys),
        )

    @cached_property
    def _groups(self) -> tuple[tuple[Segment, ...], ...]:
        groups: dict[tuple[int, ...], list[Segment]] = {}
        for segment in self.segments:
            if segment.keys > _BATCHED_UP_TO:
                shape: tuple[int, ...] = (segment.start,)
            else:
                shape = (segment.prefix_length > 0, -(-segment.length // _GRID), -(-segment.keys // _GRID))
            groups.setdefault(shape, []).append(segment)
        return tuple(tuple(group) for group in groups.values())


def _bucket(segments: Sequence[Segment], device: torch.device) -> Bucket:
    """Padding slots point at the segment's first rows: their outputs are never read."""
    queries, keys = (max(lengths) for lengths in zip(*((s.length, s.keys) for s in segments), strict=True))
    query_rows_BQ = torch.zeros(len(segments), queries, dtype=torch.long)
    key_rows_BC = torch.zeros(len(segments), keys, dtype=torch.long)
    for b, segment in enumerate(segments):
        query_rows_BQ[b, : segment.length] = torch.arange(segment.start, segment.start + segment.length)
        key_rows_BC[b, : segment.keys] = segment.key_rows
    if all(segment.prefix_length == 0 for segment in segments):
        # Padding lies behind every real key, where causal attention never looks.
        return Bucket(query_rows_BQ.to(device), key_rows_BC.to(device), None)
    prefix_B = torch.tensor([segment.prefix_length for segment in segments])
    # Query slot q stands behind its prefix and q own tokens.
    last_BQ = prefix_B[:, None] + torch.arange(queries)
    mask_B1QC = torch.arange(keys) <= last_BQ[:, None, :, None]
    return Bucket(query_rows_BQ.to(device), key_rows_BC.to(device), mask_B1QC.to(device))


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)
