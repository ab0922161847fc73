"""The reference cache: exact round trip, shards, damage, two writers."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import StoreError
from epa_bench.core.records import ReferenceScore
from epa_bench.models.reference_cache import ReferenceCache


def score(key: str, logp: float = -1.5) -> ReferenceScore:
    return ReferenceScore(key=key, logp=logp, tokens=3)


def shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".jsonl")


def test_an_absent_folder_is_an_empty_cache(tmp_path: Path) -> None:
    assert ReferenceCache(tmp_path / "none").load() == {}


@given(logp=st.floats(-1e4, 0, width=32))
def test_a_score_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, logp: float) -> None:
    cache = ReferenceCache(tmp_path_factory.mktemp("cache"))
    cache.add([score("a", logp)])
    assert cache.load()["a"].logp == logp


def test_shards_add_up(tmp_path: Path) -> None:
    ReferenceCache(tmp_path / "c").add([score("a"), score("b", -2.0)])
    ReferenceCache(tmp_path / "c").add([score("c")])
    assert ReferenceCache(tmp_path / "c").load() == {"a": score("a"), "b": score("b", -2.0), "c": score("c")}
    assert len(shards(tmp_path / "c")) == 2


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        ReferenceCache(tmp_path).add([score("a")])
    assert len(shards(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["truncated", "edited", "emptied"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    cache = ReferenceCache(tmp_path)
    cache.add([score("a"), score("b")])
    cache.add([score("c")])
    (victim,) = [path for path in shards(tmp_path) if b'"a"' in path.read_bytes()]
    content = victim.read_bytes()
    victim.write_bytes({"truncated": content[:-20], "edited": content.replace(b"1.5", b"1.6"), "emptied": b""}[damage])
    with pytest.raises(StoreError, match=rf"{victim.name} is damaged; delete it and the store's cells/reference_sc"):
        cache.load()
    victim.unlink()
    assert set(cache.load()) == {"c"}


def test_what_a_killed_writer_leaves_is_not_read(tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path)
    cache.add([score("a")])
    (tmp_path / ".0123.jsonl.99.tmp").write_text('{"key": "b"')
    assert set(cache.load()) == {"a"}


def _add(folder: Path, first: int) -> None:
    for i in range(first, first + 20):
        ReferenceCache(folder).add([score(str(i), -float(i))])


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    """They share half of their scores."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(tmp_path, first)) for first in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert ReferenceCache(tmp_path).load() == {str(i): score(str(i), -float(i)) for i in range(30)}
    assert len(shards(tmp_path)) == 30
