"""The table of losses."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from epa_bench.core.errors import ConfigError
from epa_bench.losses.scores import GroupScores
from epa_bench.losses.spec import LossSpec
from epa_bench.losses.table import LOSSES, get_loss

MONOTONE = ("epa", "dpo", "sdpo", "robust", "bco_pair", "apo_zero", "dpo_norm", "simpo")
"""The others have a place where they want the scores to be."""

EVERY_LOSS = pytest.mark.parametrize("spec", LOSSES.values(), ids=list(LOSSES))


def groups(spec: LossSpec, logps: torch.Tensor) -> GroupScores:
    """Groups of the size the loss allows: all strong, but for a weak last column where it uses one."""
    strong_GK = torch.ones_like(logps, dtype=torch.bool)
    strong_GK[:, 0] = False
    if spec.uses_weak:
        strong_GK[:, -1] = False
    return GroupScores(
        logps_GK=logps,
        ref_logps_GK=torch.full_like(logps, -20.0),
        tokens_GK=torch.full_like(logps, 7, dtype=torch.long),
        mask_GK=torch.ones_like(logps, dtype=torch.bool),
        strong_GK=strong_GK,
        beta=0.1,
        gold_GK=torch.arange(logps.shape[1], 0, -1).to(logps.dtype).expand_as(logps) if spec.needs_gold else None,
    )


def candidates(spec: LossSpec) -> int:
    return 1 + (3 if spec.max_strong is None else spec.max_strong) + spec.uses_weak


def test_reading_the_table_does_not_import_torch() -> None:
    code = (
        "import json, sys; from epa_bench.losses.table import LOSSES, get_loss; get_loss('epa')\n"
        "print(json.dumps([list(LOSSES), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [list(LOSSES), False]


@EVERY_LOSS
def test_metadata_is_complete(spec: LossSpec) -> None:
    assert LOSSES[spec.name] is spec
    assert spec.summary
    assert "\n" not in spec.summary
    assert re.search(r"arXiv \d{4}\.\d{5}|\.pdf", spec.source)


@EVERY_LOSS
def test_step_0_is_what_the_table_says(spec: LossSpec) -> None:
    """One group has no counting negative."""
    start = groups(spec, torch.full((3, candidates(spec)), -20.0))
    start.mask_GK[1, 1:] = False
    losses_G = spec.load()(start)
    assert losses_G.shape == (3,)
    assert losses_G[1].item() == 0
    if spec.step0 is None:
        longer = replace(start, logps_GK=start.logps_GK * torch.linspace(1, 2, candidates(spec)))
        assert not torch.equal(losses_G, spec.load()(replace(longer, ref_logps_GK=longer.logps_GK)))
        return
    torch.testing.assert_close(losses_G, spec.step0(start, spec.resolved({})))
    beta = replace(start, beta=0.7)
    torch.testing.assert_close(spec.load()(beta), spec.step0(beta, spec.resolved({})))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("exo_pair", {"label_smoothing": e}) for e in (1e-6, 0.1, 0.49)),
        ("epa", {"weight_strong": 2, "weight_weak": 0.3, "weight_positive": 5}),
        *((name, {"label_smoothing": 0.3}) for name in ("cdpo", "robust")),
        ("discopop", {"tau": 3}),
        ("infonca", {"temperature": 0.2}),
    ],
)
def test_step_0_with_other_options(name: str, options: dict[str, float]) -> None:
    spec = get_loss(name)
    start = groups(spec, torch.full((3, candidates(spec)), -20.0))
    assert spec.step0 is not None
    torch.testing.assert_close(spec.load(options)(start), spec.step0(start, spec.resolved(options)))


@pytest.mark.parametrize("spec", [LOSSES[name] for name in MONOTONE], ids=MONOTONE)
def test_raising_the_positive_and_lowering_a_negative_lower_the_loss(spec: LossSpec) -> None:
    generator = torch.Generator().manual_seed(7)
    logps = (-20 + 5 * torch.randn(50, candidates(spec), generator=generator)).requires_grad_()
    (grad_GK,) = torch.autograd.grad(spec.load()(groups(spec, logps)).sum(), logps)
    assert (grad_GK[:, 0] < 0).all()
    assert (grad_GK[:, 1:] > 0).all()


@pytest.mark.parametrize("spec", [spec for spec in LOSSES.values() if spec.max_strong is None or spec.pushes_by_count])
def test_push_on_the_positive_follows_from_counts_only_where_the_table_says_so(spec: LossSpec) -> None:
    """dL/ds+ where policy == reference, for 1 to 4 negatives."""
    for negatives in range(1, 2 if spec.max_strong == 1 else 5):
        logps = torch.full((1, 1 + negatives), -20.0, requires_grad=True)
        batch = groups(spec, logps)
        (grad_GK,) = torch.autograd.grad(spec.load()(batch).sum(), logps)
        share = negatives / (1 + negatives)
        assert (float(grad_GK[0, 0]) == pytest.approx(-batch.beta * share)) == spec.pushes_by_count


@EVERY_LOSS
def test_a_group_depends_on_its_batch_only_if_the_table_says_so(spec: LossSpec) -> None:
    logps = -20 + 5 * torch.randn(8, candidates(spec), generator=torch.Generator().manual_seed(8))
    loss = spec.load()
    alone_G = torch.cat([loss(groups(spec, logps[g : g + 1])) for g in range(8)])
    assert torch.allclose(alone_G, loss(groups(spec, logps)), rtol=1e-6, atol=0) == (not spec.couples_batch)


@EVERY_LOSS
def test_the_reference_matters_unless_the_table_says_it_is_not_needed(spec: LossSpec) -> None:
    logps = -20 + 5 * torch.randn(1, candidates(spec), generator=torch.Generator().manual_seed(9))
    one = groups(spec, logps)
    other_ref_GK = one.ref_logps_GK.clone()
    other_ref_GK[:, 0] -= 3
    other = replace(one, ref_logps_GK=other_ref_GK)
    assert torch.equal(spec.load()(one), spec.load()(other)) == spec.reference_free


@pytest.mark.parametrize("counting", [0, 1, 3, 7])
@pytest.mark.parametrize("name", ["epa", "sdpo", "infonca"])
def test_step_0_of_the_softmax_losses_is_the_log_of_the_candidates(name: str, counting: int) -> None:
    spec = get_loss(name)
    start = groups(spec, torch.full((1, 8), -20.0))
    start.mask_GK[:, 1 + counting :] = False
    assert spec.step0 is not None
    assert spec.step0(start, spec.resolved({})).item() == pytest.approx(math.log(1 + counting), abs=1e-6)


@pytest.mark.parametrize(("name", "hint"), [("edpo", "did you mean 'dpo'"), ("EPA", "did you mean 'epa'")])
def test_an_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected one of epa, dpo, .*, got '{name}'; {hint}"):
        get_loss(name)


def test_a_name_near_nothing_gets_no_hint() -> None:
    with pytest.raises(ConfigError, match=r"expected one of epa, dpo, .*, got 'quaternion'$"):
        get_loss("quaternion")


def test_the_table_cannot_be_changed_by_its_readers() -> None:
    with pytest.raises(TypeError):
        LOSSES["mine"] = LOSSES["epa"]  # type: ignore[index]
