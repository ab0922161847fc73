"""Finding suites and sweeps, and saying what is wrong with one."""

from pathlib import Path

import pytest

from epa_bench.core.errors import ConfigError, SuiteError
from epa_bench.suites.definitions import GenerationSuite, LinearitySuite, PairwiseSuite
from epa_bench.suites.metrics import METRICS_OF_KIND
from epa_bench.suites.registry import Registry, registry, shipped_suites, sweep_path

SHIPPED = [
    "alignment_tax",
    "alpaca_eval_2",
    "best_of_n",
    "calibration",
    "displacement",
    "embedded_pairwise",
    "generation",
    "golden",
    "kl",
    "linearity",
    "llmbar",
    "mt_bench",
    "off_support",
    "reward_accuracy",
    "reward_bench",
    "reward_bench_2",
    "word_puzzles",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three suites, two of them broken."""
    for name, text in {
        "mine": "kind: generation\ndescription: mine\ndecoding:\n  temperature: 0.5\n  max_new_tokens: 9\n",
        "bad_kind": "kind: nonesuch\ndescription: x\n",
        "bad_keys": "kind: linearity\ndescription: x\nmismatch: 3\nlimit: 0\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "suite.yaml").write_text(text)
    (tmp_path / "no_suite").mkdir()
    return tmp_path


def test_shipped_suites_all_load() -> None:
    shipped = registry()
    assert list(shipped.paths) == SHIPPED
    kinds = {shipped.load(name, {}).kind for name in shipped.paths}
    assert kinds == {*METRICS_OF_KIND, "lm_eval"}


def test_overrides_are_merged_key_by_key(folder: Path) -> None:
    suite = Registry((folder,)).load("mine", {"decoding": {"max_new_tokens": 3}, "limit": 7})
    assert isinstance(suite, GenerationSuite)
    assert (suite.decoding.temperature, suite.decoding.max_new_tokens, suite.limit) == (0.5, 3, 7)


def test_further_folder_adds_and_replaces(folder: Path) -> None:
    (folder / "linearity").mkdir()
    (folder / "linearity" / "suite.yaml").write_text("kind: linearity\ndescription: other\nmismatched: 2\n")
    both = registry([folder])
    assert isinstance(both.load("embedded_pairwise", {}), PairwiseSuite)
    assert isinstance(both.load("mine", {}), GenerationSuite)
    replaced = both.load("linearity", {})
    assert isinstance(replaced, LinearitySuite)
    assert replaced.mismatched == 2
    assert "no_suite" not in both.paths


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no folder of suites at"):
        _ = registry([tmp_path / "nonesuch"]).paths


def test_unknown_suite_has_a_suggestion_or_the_list() -> None:
    with pytest.raises(SuiteError, match="unknown suite `linarity`; did you mean `linearity`"):
        registry().load("linarity", {})
    with pytest.raises(SuiteError, match="unknown suite `zzz`; known: alignment_tax, alpaca_eval_2, best_of_n"):
        registry().load("zzz", {})


def test_broken_suite_file_is_named_by_line(folder: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        Registry((folder,)).load("bad_keys", {})
    message = str(caught.value)
    assert "2 problems in suite bad_keys" in message
    assert f"{folder}/bad_keys/suite.yaml:3: `mismatch`: unknown key" in message
    assert f"{folder}/bad_keys/suite.yaml:4: `limit`: " in message
    with pytest.raises(SuiteError, match=r"bad_kind/suite.yaml:1: .*nonesuch"):
        Registry((folder,)).load("bad_kind", {})


def test_suite_that_is_no_mapping(folder: Path) -> None:
    (folder / "mine" / "suite.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="expected keys and values"):
        Registry((folder,)).load("mine", {})


def test_problems_of_a_sweep_are_located_in_the_sweep(folder: Path) -> None:
    raw = {
        "mine": {"decoding": {"temperature": -1}, "seed": 3},
        "nonesuch": {},
        "linearity": {"mismatched": True},
        "generation": None,
    }
    found = dict(registry([folder]).problems(raw))
    assert set(found) == {
        ("suites", "mine", "decoding", "temperature"),
        ("suites", "mine", "seed"),
        ("suites", "nonesuch"),
        ("suites", "linearity", "mismatched"),
    }
    assert found["suites", "mine", "seed"] == "`suites.mine.seed`: unknown key"
    assert found["suites", "linearity", "mismatched"].startswith("`suites.linearity.mismatched`: ")


@pytest.mark.parametrize("raw", [None, [], "demo", 3])
def test_any_shape_of_the_section_is_stood(raw: object) -> None:
    assert list(registry().problems(raw)) == []


def test_sweep_by_path_by_name_and_by_its_place_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_suites() / "sweeps" / "demo.yaml"
    assert sweep_path("demo") == shipped
    assert sweep_path("demo.yaml") == shipped
    assert sweep_path("suites/sweeps/demo.yaml") == shipped
    # A file of that name in the working folder is nearer.
    (tmp_path / "demo.yaml").write_text("name: mine\n")
    assert sweep_path("demo.yaml") == Path("demo.yaml")
    with pytest.raises(ConfigError, match=r"no sweep file nonesuch.yaml; shipped sweeps: .*demo"):
        sweep_path("nonesuch.yaml")
    with pytest.raises(ConfigError, match="no sweep file"):
        sweep_path("elsewhere/demo.yaml")
