"""Digests: equal recipes meet whatever their order, different ones never, on every machine and in every process."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.digest import DIGEST_CHARS, canonical_json, digest_of, file_sha256, folder_digest, stable_seed

SHA256_OF_EMPTY_LIST = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
"""`printf '[]' | sha256sum`"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "room"
    (root / "below").mkdir(parents=True)
    (root / "a.py").write_text("1")
    (root / "b.py").write_text("2")
    (root / "below" / "c.py").write_text("3")
    return root


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=10,
)


def test_canonical_form() -> None:
    assert (
        canonical_json({"b": [1, 2.5, None], "a": {"d": True, "c": "é"}}) == '{"a":{"c":"é","d":true},"b":[1,2.5,null]}'
    )


def test_digest_is_the_start_of_sha256() -> None:
    assert digest_of([]) == SHA256_OF_EMPTY_LIST[:DIGEST_CHARS]
    assert digest_of({"é": 1}) == hashlib.sha256(b'{"\xc3\xa9":1}').hexdigest()[:32]


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(sorted(value), len(value))}
    return value


@given(JSON, st.randoms(use_true_random=False))
def test_order_of_keys_does_not_count(value: Any, rng: random.Random) -> None:
    assert digest_of(shuffled(value, rng)) == digest_of(value)


@given(JSON)
def test_canonical_form_loses_nothing(value: Any) -> None:
    """So two values that differ have two forms."""
    restored = json.loads(canonical_json(value))
    assert restored == value
    assert canonical_json(restored) == canonical_json(value)


def test_order_of_lists_counts() -> None:
    assert digest_of([1, 2]) != digest_of([2, 1])


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("1", 1), ([], {}), (None, 0), ("", None)])
def test_values_of_different_types_differ(one: object, other: object) -> None:
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}, "\ud800"])
def test_what_json_loses_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON compliant|surrogates"):
        digest_of(value)


def test_hash_seed_of_the_process_does_not_count(folder: Path) -> None:
    """A set's order changes with it, of paths too."""
    code = """
        import sys; from pathlib import Path
        from epa_bench.core.digest import digest_of, folder_digest, stable_seed
        names = {"beta", "learning_rate", "strong", "weak", "nll", "seeds"}
        print(*names)
        print(digest_of({name: 1 for name in names}), stable_seed("order", {name: 1 for name in names}), end=" ")
        print(folder_digest(Path(sys.argv[1]), ["*.py"]))
    """
    orders, digests = set(), set()
    for seed in "0123":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines()), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        order, digest = done.stdout.splitlines()
        orders.add(order)
        digests.add(digest)
    assert len(orders) > 1
    assert len(digests) == 1


def test_stable_seed_is_63_bits_of_sha256() -> None:
    assert stable_seed() == int(SHA256_OF_EMPTY_LIST[:16], 16) >> 1


def test_stable_seed_names_its_parts() -> None:
    seeds = [stable_seed("a", 1), stable_seed("a", 2), stable_seed("b", 1), stable_seed("a", "1"), stable_seed("a1")]
    assert len(set(seeds)) == len(seeds)
    assert stable_seed("a", 1) == seeds[0]


@given(st.lists(JSON, max_size=3))
def test_stable_seed_fits_torch_and_numpy_generators(parts: list[Any]) -> None:
    assert 0 <= stable_seed(*parts) < 2**63


def test_file_sha256(tmp_path: Path) -> None:
    """The digest of `abc` is FIPS 180-2's example."""
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_folder_digest_ignores_times_place_and_other_files(folder: Path, tmp_path: Path) -> None:
    before = folder_digest(folder, ["*.py"])
    os.utime(folder / "a.py", (0, 0))
    (folder / "notes.txt").write_text("x")
    (folder / "empty").mkdir()
    moved = folder.rename(tmp_path / "elsewhere")
    assert folder_digest(moved, ["*.py"]) == before


def test_folder_digest_takes_a_file_once_whatever_the_patterns(folder: Path) -> None:
    assert folder_digest(folder, ["a.*", "*.py", "*"]) == folder_digest(folder, ["*"])


def test_folder_digest_leaves_out_what_it_is_told(folder: Path) -> None:
    before = folder_digest(folder, ["*.py"], without=["a.py"])
    assert before != folder_digest(folder, ["*.py"])
    (folder / "a.py").write_text("x")
    assert folder_digest(folder, ["*.py"], without=["a.py"]) == before
    (folder / "b.py").write_text("x")
    assert folder_digest(folder, ["*.py"], without=["a.py"]) != before


def test_folder_digest_sees_every_change(folder: Path) -> None:
    digests = [folder_digest(folder, ["*.py"])]
    (folder / "a.py").write_text("1 ")
    digests.append(folder_digest(folder, ["*.py"]))
    (folder / "a.py").rename(folder / "z.py")
    digests.append(folder_digest(folder, ["*.py"]))
    (folder / "below" / "c.py").rename(folder / "c.py")
    digests.append(folder_digest(folder, ["*.py"]))
    (folder / "c.py").write_text("2")
    (folder / "b.py").write_text("3")
    digests.append(folder_digest(folder, ["*.py"]))
    (folder / "b.py").unlink()
    digests.append(folder_digest(folder, ["*.py"]))
    assert len(set(digests)) == len(digests)


def test_folder_digest_reads_linked_files(folder: Path, tmp_path: Path) -> None:
    """A hub checkpoint's folder is made of links into a store of blobs."""
    before = folder_digest(folder, ["*.py"])
    blob = (folder / "a.py").rename(tmp_path / "blob")
    (folder / "a.py").symlink_to(blob)
    assert folder_digest(folder, ["*.py"]) == before
