"""The packed row against the sequences it was made of, and who sees whom in it."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from epa_bench.data.chat import EncodedResponse
from epa_bench.models.packing import PackedSequences, pack_sequences
from epa_bench.models.segments import AttentionLayout

TREES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 30), st.lists(st.integers(3, 9), min_size=1, max_size=30)),
    min_size=1,
    max_size=7,
)
"""(which prompt, its length, response)."""


def sequences_of(trees: list[tuple[int, int, list[int]]]) -> list[EncodedResponse]:
    return [EncodedResponse([which + 10] * length, response, False) for which, length, response in trees]


def test_worked_row() -> None:
    batch = pack_sequences(
        [
            EncodedResponse([1, 2], [3, 4, 5], False),
            EncodedResponse([9], [8, 7], False),
            EncodedResponse([1, 2], [6], False),
            EncodedResponse([1, 2], [7, 8], False),
        ]
    )
    # 1 2 | 3 4 | 7 and 9 | 8: a response's last token is not sent through the model.
    assert batch.ids_T.tolist() == [1, 2, 3, 4, 7, 9, 8]
    assert batch.positions_T.tolist() == [0, 1, 2, 3, 2, 0, 1]
    assert batch.rows_S.tolist() == [1, 2, 3, 5, 6, 1, 1, 4]
    assert batch.targets_S.tolist() == [3, 4, 5, 8, 7, 6, 7, 8]
    assert batch.owners_S.tolist() == [0, 0, 0, 1, 1, 2, 3, 3]
    assert batch.tokens_N.tolist() == [3, 2, 1, 2]


def context_of(batch: PackedSequences, seen_TT: Tensor, row: int) -> list[tuple[int, int]]:
    """(position, token) of what a packed token attends to."""
    rows = seen_TT[row].nonzero().flatten()
    return sorted(zip(batch.positions_T[rows].tolist(), batch.ids_T[rows].tolist(), strict=True))


def seen_by_buckets(layout: AttentionLayout, tokens: int) -> Tensor:
    """What the bucketed attention lets each packed token see, [T, T]."""
    slots = []
    for bucket in layout.buckets:
        queries, keys = bucket.query_rows_BQ.shape[1], bucket.key_rows_BC.shape[1]
        mask_BQC = torch.ones(len(bucket.query_rows_BQ), queries, keys, dtype=torch.bool)
        mask_BQC = mask_BQC.tril() if bucket.mask_B1QC is None else mask_BQC & bucket.mask_B1QC[:, 0]
        rows_BQC = bucket.key_rows_BC[:, None, :].expand(-1, queries, -1)
        counts_BQT = torch.zeros(len(mask_BQC), queries, tokens).scatter_add(2, rows_BQC, mask_BQC.float())
        slots.append(counts_BQT.flatten(0, 1))
    counts_TT = torch.cat(slots)[layout.restore_T]
    assert counts_TT.max() == 1
    return counts_TT.bool()


def seen_by_varlen(layout: AttentionLayout, tokens: int) -> Tensor:
    """The same for FlashAttention's table: causal, aligned to the end of both sides."""
    table = layout.varlen
    seen_TT = torch.zeros(tokens, tokens, dtype=torch.bool)
    starts = zip(table.query_starts.tolist(), table.key_starts.tolist(), strict=True)
    (query, key), *others = list(starts)
    for next_query, next_key in others:
        keys = table.key_rows[key:next_key]
        for q in range(query, next_query):
            seen_TT[q, keys[: len(keys) - (next_query - 1 - q)]] = True
        assert table.longest_query >= next_query - query
        assert table.longest_key >= next_key - key
        query, key = next_query, next_key
    return seen_TT


@given(TREES)
def test_every_scored_position_sees_its_own_sequence_and_nothing_else(trees: list[tuple[int, int, list[int]]]) -> None:
    sequences = sequences_of(trees)
    batch = pack_sequences(sequences)
    scored = zip(batch.rows_S.tolist(), batch.targets_S.tolist(), batch.owners_S.tolist(), strict=True)
    expected = [
        (list(enumerate([*s.prompt_ids, *s.response_ids[:i]])), token, n)
        for n, s in enumerate(sequences)
        for i, token in enumerate(s.response_ids)
    ]
    tokens = len(batch.ids_T)
    for seen_TT in (seen_by_buckets(batch.attention, tokens), seen_by_varlen(batch.attention, tokens)):
        for (row, token, owner), (context, *rest) in zip(scored, expected, strict=True):
            assert [token, owner] == rest
            assert context_of(batch, seen_TT, row) == context
        scored = zip(batch.rows_S.tolist(), batch.targets_S.tolist(), batch.owners_S.tolist(), strict=True)


@given(TREES)
def test_padded_rows_hold_the_sequences(trees: list[tuple[int, int, list[int]]]) -> None:
    sequences = sequences_of(trees)
    batch = pack_sequences(sequences)
    rows_NT, places_S = batch.padded()
    ids_NT = batch.ids_T[rows_NT]
    for n, s in enumerate(sequences):
        whole = [*s.prompt_ids, *s.response_ids[:-1]]
        assert ids_NT[n, : len(whole)].tolist() == whole
    width = ids_NT.shape[1]
    assert places_S.tolist() == [
        n * width + len(s.prompt_ids) - 1 + i for n, s in enumerate(sequences) for i in range(len(s.response_ids))
    ]


@given(TREES)
def test_a_prompt_is_packed_once(trees: list[tuple[int, int, list[int]]]) -> None:
    sequences = sequences_of(trees)
    prompts = {tuple(s.prompt_ids) for s in sequences}
    expected = sum(map(len, prompts)) + sum(len(s.response_ids) - 1 for s in sequences)
    assert len(pack_sequences(sequences).ids_T) == expected
