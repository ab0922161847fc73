"""What is measured: the cases that claims are made of, and that each can be built and named."""

from pathlib import Path

import pytest

from epa_bench.bench.cases import PEERS, ROUNDS, Case, cases
from epa_bench.bench.peers.sides import BUILDERS
from epa_bench.bench.subject import Subject
from tests.bench.micro import HEAD, TINY, micro_case


def shape(case: Case) -> tuple[str, int, int, int]:
    return case.part, case.prompt, case.response, case.candidates


def test_the_cases_claims_are_made_of() -> None:
    claimed = [case for case in cases("full") if case.part in ("peers", "own", "head")]
    against = {shape(case): case.peers for case in claimed}
    assert "trl" in against["peers", 133, 194, 2]
    assert "trl" in against["peers", 266, 70, 2]
    assert "obvious" in against["peers", 133, 194, 4]
    assert "obvious" in against["peers", 133, 194, 8]
    assert against["own", 256, 64, 4] == ("ours-dpo",)
    assert against["head", 0, 2048, 1] == ("full-logits",)
    assert all(case.memory for case in claimed if case.part == "head")
    assert all(4.5e6 < case.parameters < 5.5e6 for case in claimed if case.part == "peers")
    assert {case.groups * case.candidates for case in claimed if case.part != "head"} == {16}
    assert ROUNDS >= 5


def test_one_quantity_grows_at_a_time() -> None:
    for part in ("P", "R", "K", "vocabulary", "hidden size"):
        grown = [
            (case.prompt, case.response, case.candidates, case.model.vocab_size, case.model.hidden_size)
            for case in cases("full")
            if case.part == part
        ]
        assert len(grown) >= 3
        assert sum(len(set(values)) > 1 for values in zip(*grown, strict=True)) == 1
        assert grown == sorted(grown)


def test_quick_measures_full_cases_against_every_kind_of_peer() -> None:
    full = {shape(case): case for case in cases("full")}
    for case in cases("quick"):
        whole = full[shape(case)]
        assert case.model_copy(update={"peers": whole.peers, "memory": whole.memory}) == whole
    assert {peer for case in cases("quick") for peer in case.peers} == {"trl", "obvious", "ours-dpo"}
    assert not any(case.memory for case in cases("quick"))


def test_every_side_has_a_builder_and_every_peer_a_name() -> None:
    assert {case.ours for case in cases("full")} | set(PEERS) == set(BUILDERS)
    assert {peer for case in cases("full") for peer in case.peers} == set(PEERS)


@pytest.mark.parametrize("changes", [{}, {"hidden_size": 96, "num_hidden_layers": 3}, {"vocab_size": 500}])
def test_parameters_are_those_of_the_model(changes: dict[str, int], tmp_path: Path) -> None:
    case = micro_case(model=TINY.model_copy(update=changes))
    model = Subject(case, 1, "cpu", tmp_path).new_model()
    assert sum(weight.numel() for weight in model.parameters()) == case.parameters


def test_parameters_of_the_output_layer_alone() -> None:
    assert HEAD.parameters == 300 * 64
