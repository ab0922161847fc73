"""The sides of a comparison do the same work: from the same weights they take the same steps to the same losses."""

import sys

import pytest

from epa_bench.bench.cases import Case, SideName
from epa_bench.bench.measure import measure
from epa_bench.bench.rows import Job
from tests.bench.micro import HEAD, micro_case

ROUNDS = 4


def losses(case: Case, *sides: SideName) -> dict[SideName, tuple[float, ...]]:
    result = measure(Job(case=case, sides=sides, rounds=ROUNDS), "cpu")
    assert not result.missing
    assert all(len(seconds) == ROUNDS for seconds in result.seconds.values())
    assert list(result.losses) == list(sides)
    return result.losses


def agree(ours: tuple[float, ...], theirs: tuple[float, ...]) -> None:
    """To a hundredth of what training changed, which is far more than rounding."""
    moved = max(abs(loss - ours[0]) for loss in ours)
    assert moved > 1e-3
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < moved / 100


def test_dpo_is_trls_and_the_obvious_one() -> None:
    pytest.importorskip("trl", reason="TRL is not installed (extra `dev` or `parity`)")
    found = losses(micro_case(), "ours", "trl", "trl-online", "obvious")
    assert found["ours"][0] == pytest.approx(0.693147, abs=1e-5)
    for peer in ("trl", "trl-online", "obvious"):
        agree(found["ours"], found[peer])


@pytest.mark.parametrize("weak", [2, 6])
def test_epa_is_the_obvious_one(weak: int) -> None:
    found = losses(micro_case(weak=weak), "ours", "obvious")
    agree(found["ours"], found["obvious"])


def test_our_dpo_step_is_the_dpo_cases_on_the_same_groups() -> None:
    found = losses(micro_case(weak=2), "ours", "ours-dpo")
    assert found["ours"][0] == pytest.approx(1.386294, abs=1e-5)
    assert found["ours-dpo"][0] == pytest.approx(0.693147, abs=1e-5)
    assert found["ours-dpo"][1] != found["ours-dpo"][0]


def test_chunked_head_is_full_logits() -> None:
    found = losses(HEAD, "chunked-head", "full-logits")
    assert found["chunked-head"] == pytest.approx(found["full-logits"], rel=1e-6)
    assert len(set(found["chunked-head"])) == 1


def test_without_trl_the_others_are_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    result = measure(Job(case=micro_case(), sides=("ours", "trl", "obvious"), rounds=1), "cpu")
    assert result.missing == {"trl": "trl not installed"}
    assert set(result.seconds) == set(result.losses) == {"ours", "obvious"}


def test_tokens_are_counted_without_the_step_that_warms_up() -> None:
    result = measure(Job(case=micro_case(ragged=False), sides=("obvious",), rounds=2), "cpu")
    assert result.tokens == 4 * 2 * (12 + 9)
