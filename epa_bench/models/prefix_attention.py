"""Attention over a packed row in which responses share their prompt, through transformers' AttentionInterface.

The layout travels as a keyword argument from the model's forward to the attention function of every layer; no modeling
code is touched. Without one (generation, a plain forward) the function is transformers' own SDPA.

Shapes: H query heads, J key heads, D head size, T packed tokens, B segments of a bucket, Q query and C key slots.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from epa_bench.models.segments import AttentionLayout, Bucket

NAME = "epa_bench_prefix"
"""What `model.set_attn_implementation` knows it by."""

LAYOUT = "prefix_layout"
"""The keyword argument of the model's forward."""


def prefix_attention(
    module: torch.nn.Module,
    query_1HTD: Tensor,
    key_1JTD: Tensor,
    value_1JTD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    prefix_layout: AttentionLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function; returns [1, T, H, D] and no weights."""
    if prefix_layout is None:
        output, _ = sdpa_attention_forward(
            module, query_1HTD, key_1JTD, value_1JTD, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output, None
    query_THD, key_TJD, value_TJD = (tensor[0].transpose(0, 1) for tensor in (query_1HTD, key_1JTD, value_1JTD))
    if query_THD.is_cuda and query_THD.dtype in (torch.float16, torch.bfloat16):
        return _varlen(query_THD, key_TJD, value_TJD, prefix_layout, scaling)[None], None
    return _bucketed(query_THD, key_TJD, value_TJD, prefix_layout, scaling)[None], None


def _bucketed(
    query_THD: Tensor, key_TJD: Tensor, value_TJD: Tensor, layout: AttentionLayout, scaling: float | None
) -> Tensor:
    outputs = [_of_bucket(query_THD, key_TJD, value_TJD, bucket, scaling) for bucket in layout.buckets]
    return torch.cat(outputs).index_select(0, layout.restore_T)


def _of_bucket(query_THD: Tensor, key_TJD: Tensor, value_TJD: Tensor, bucket: Bucket, scaling: float | None) -> Tensor:
    query_BHQD = _gather(query_THD, bucket.query_rows_BQ)
    key_BJCD, value_BJCD = (_gather(tensor, bucket.key_rows_BC) for tensor in (key_TJD, value_TJD))
    output_BHQD = scaled_dot_product_attention(
        query_BHQD,
        key_BJCD,
        value_BJCD,
        attn_mask=bucket.mask_B1QC,
        is_causal=bucket.mask_B1QC is None,
        scale=scaling,
        enable_gqa=query_BHQD.shape[1] != key_BJCD.shape[1],
    )
    return output_BHQD.transpose(1, 2).flatten(0, 1)


def _gather(tensor_THD: Tensor, rows_BQ: Tensor) -> Tensor:
    """[B, H, Q, D]."""
    return tensor_THD.index_select(0, rows_BQ.flatten()).view(*rows_BQ.shape, *tensor_THD.shape[1:]).transpose(1, 2)


def _varlen(
    query_THD: Tensor, key_TJD: Tensor, value_TJD: Tensor, layout: AttentionLayout, scaling: float | None
) -> Tensor:
    """One FlashAttention call for all segments; causal masks are aligned to the end of both sides there too."""
    from torch.nn.attention.varlen import varlen_attn

    table = layout.varlen
    output_THD = varlen_attn(
        query_THD,
        key_TJD.index_select(0, table.key_rows),
        value_TJD.index_select(0, table.key_rows),
        table.query_starts,
        table.key_starts,
        table.longest_query,
        table.longest_key,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query_THD.shape[1] != key_TJD.shape[1],
    )
    assert isinstance(output_THD, Tensor)
    return output_THD


AttentionInterface.register(NAME, prefix_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
