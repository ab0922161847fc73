"""The losses by name. A new one is a file in this room and a line here.

Reading this table must not import torch (listing losses and checking a configuration need only its metadata), so a
loss is named by its entry point and imported by `LossSpec.load`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import log
from types import MappingProxyType

from epa_bench.core.errors import ConfigError
from epa_bench.losses import step0
from epa_bench.losses.spec import LossSpec, Option

_FLIPPED = "share of the labels that are wrong"

_SPECS = (
    LossSpec(
        name="epa",
        summary="each positive against all its strong and weak negatives in one softmax",
        source="Hong et al. 2024, arXiv 2412.13862",
        entry="epa_bench.losses.epa:loss_of_groups",
        step0=step0.log_of_weighted_candidates,
        options=(
            Option("weight_strong", 1.0, "weight of every strong negative in the softmax", above=0),
            Option("weight_weak", 1.0, "weight of every weak negative in the softmax", above=0),
            Option("weight_positive", 1.0, "weight of the positive, Energy Discrepancy's w", above=0),
        ),
        min_strong=0,
        max_strong=None,
        max_weak=None,
        pushes_by_count=True,
    ),
    LossSpec(
        name="dpo",
        summary="one preferred against one dispreferred response, Bradley-Terry",
        source="Rafailov et al. 2023, arXiv 2305.18290, eq. 7",
        entry="epa_bench.losses.dpo:loss_of_groups",
        step0=step0.log_of_candidates,
        pushes_by_count=True,
    ),
    LossSpec(
        name="sdpo",
        summary="one preferred against several dispreferred responses; EPA without weak negatives",
        source="Chen et al. 2024, arXiv 2406.09215",
        entry="epa_bench.losses.sdpo:sdpo",
        step0=step0.log_of_candidates,
        max_strong=None,
        pushes_by_count=True,
    ),
    LossSpec(
        name="infonca",
        summary="the softmax of the scores against that of the responses' gold scores",
        source="Chen et al. 2024, arXiv 2402.05369",
        entry="epa_bench.losses.infonca:infonca",
        step0=step0.log_of_candidates,
        options=(Option("temperature", 1.0, "alpha, what gold scores are divided by", above=0),),
        max_strong=None,
        needs_gold=True,
    ),
    LossSpec(
        name="cdpo",
        summary="DPO that expects flipped labels; stops at their odds",
        source="Mitchell 2023, ericmitchell.ai/cdpo.pdf",
        entry="epa_bench.losses.noisy_labels:cdpo",
        step0=step0.log_of_candidates,
        options=(Option("label_smoothing", 0.1, _FLIPPED, at_least=0, below=0.5),),
    ),
    LossSpec(
        name="robust",
        summary="DPO without the bias of flipped labels",
        source="Chowdhury et al. 2024, arXiv 2403.00409",
        entry="epa_bench.losses.noisy_labels:robust",
        step0=step0.log_of_candidates,
        options=(Option("label_smoothing", 0.1, _FLIPPED, at_least=0, below=0.5),),
    ),
    LossSpec(
        name="exo_pair",
        summary="reverse KL from the policy's preference to the smoothed label",
        source="Ji et al. 2024, arXiv 2402.00856, eq. 16",
        entry="epa_bench.losses.noisy_labels:exo_pair",
        step0=step0.exo,
        options=(Option("label_smoothing", 0.001, _FLIPPED, above=0, below=0.5),),
    ),
    LossSpec(
        name="ipo",
        summary="squared error of the log-ratios' difference a token, as in TRL",
        source="Azar et al. 2023, arXiv 2310.12036, eq. 17",
        entry="epa_bench.losses.ipo:ipo",
        step0=step0.ipo,
    ),
    LossSpec(
        name="ipo_sum",
        summary="squared error of the summed log-ratios' difference, as in the paper",
        source="Azar et al. 2023, arXiv 2310.12036, eq. 17",
        entry="epa_bench.losses.ipo:ipo_sum",
        step0=step0.ipo,
    ),
    LossSpec(
        name="hinge",
        summary="nothing more to gain once the scores are 1 apart",
        source="Zhao et al. 2023, arXiv 2305.10425; Liu et al. 2023, arXiv 2309.06657",
        entry="epa_bench.losses.hinge:hinge",
        step0=step0.constant(1),
    ),
    LossSpec(
        name="nca_pair",
        summary="each response against noise from the reference",
        source="Chen et al. 2024, arXiv 2402.05369",
        entry="epa_bench.losses.pointwise:nca_pair",
        step0=step0.constant(2 * log(2)),
    ),
    LossSpec(
        name="bco_pair",
        summary="a binary classifier of preferred and dispreferred responses, without the paper's reward shift",
        source="Jung et al. 2024, arXiv 2404.04656",
        entry="epa_bench.losses.pointwise:bco_pair",
        step0=step0.constant(2 * log(2)),
    ),
    LossSpec(
        name="sppo_hard",
        summary="squared error of each log-ratio from plus or minus 1 / 2 beta",
        source="Wu et al. 2024, arXiv 2405.00675, eq. 4.7",
        entry="epa_bench.losses.pointwise:sppo_hard",
        step0=step0.sppo,
    ),
    LossSpec(
        name="apo_zero",
        summary="preferred up and dispreferred down, each on its own",
        source="D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7",
        entry="epa_bench.losses.pointwise:apo_zero",
        step0=step0.constant(1),
    ),
    LossSpec(
        name="apo_down",
        summary="both down, the dispreferred further",
        source="D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 8",
        entry="epa_bench.losses.pointwise:apo_down",
        step0=step0.constant(1),
    ),
    LossSpec(
        name="discopop",
        summary="DPO blended with the exponential loss",
        source="Lu et al. 2024, arXiv 2406.08414, eq. 5",
        entry="epa_bench.losses.discopop:discopop",
        step0=step0.constant((1 + log(2)) / 2),
        options=(Option("tau", 0.05, "width of the blend, in scores", above=0),),
    ),
    LossSpec(
        name="dpo_norm",
        summary="DPO on log-ratios a token",
        source="Lambert et al. 2024, arXiv 2411.15124",
        entry="epa_bench.losses.per_token:dpo_norm",
        step0=step0.log_of_candidates,
    ),
    LossSpec(
        name="simpo",
        summary="log-probs a token with a margin, no reference",
        source="Meng et al. 2024, arXiv 2405.14734",
        entry="epa_bench.losses.per_token:simpo",
        step0=None,
        options=(Option("gamma", 0.5, "margin between the two, in scores", at_least=0),),
        reference_free=True,
    ),
)

LOSSES: Mapping[str, LossSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def get_loss(name: str) -> LossSpec:
    """The loss of that name. Raises ConfigError, with the nearest name, for one that is not in the table."""
    if name in LOSSES:
        return LOSSES[name]
    nearest = difflib.get_close_matches(name.lower(), LOSSES, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ConfigError(f"expected one of {', '.join(LOSSES)}, got {name!r}{hint}")
