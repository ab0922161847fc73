"""Pinned files: what may pin one, the cache that checks them, the mirror that serves them under any name."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from epa_bench.core.errors import StoreError, SuiteError
from epa_bench.suites.definitions import SourcedSuite
from epa_bench.suites.mirror import Mirror
from epa_bench.suites.registry import registry
from epa_bench.suites.sources import Source, SourceCache, source_cache

HUB = {"repo": "org/data", "revision": "0" * 40, "file": "folder/prompts.json"}


def source_of(content: bytes, name: str = "prompts.json", **changes: Any) -> Source:
    pinned = {
        "url": f"https://example.org/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC BY 4.0",
    }
    return Source.model_validate({**pinned, **changes})


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with two files, one below another folder."""
    folder = tmp_path / "mirror"
    (folder / "below").mkdir(parents=True)
    (folder / "first").write_bytes(b"first")
    (folder / "below" / "second.bin").write_bytes(b"second")
    return folder


@pytest.fixture
def cache(tmp_path: Path, mirror: Path) -> SourceCache:
    return SourceCache(tmp_path / "cache", Mirror(mirror, tmp_path / "cache" / "mirror_digests.json"))


def without_mirror(cache: SourceCache) -> SourceCache:
    return SourceCache(cache.folder, None)


def test_file_name_and_address() -> None:
    by_url = source_of(b"")
    assert (by_url.file_name, by_url.address) == ("prompts.json", "https://example.org/prompts.json")
    by_hub = source_of(b"", url=None, hub=HUB)
    assert by_hub.file_name == "prompts.json"
    assert by_hub.address == f"hub data set org/data at {'0' * 40}: folder/prompts.json"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"hub": HUB},
        {"sha256": "abc"},
        {"url": "ftp://example.org/f"},
        {"url": "https://example.org/"},
        {"url": "https://example.org/.."},
        {"url": "https://example.org/f?raw=1"},
        {"licence": None},
        {"bytes": -1},
        {"url": None, "hub": {**HUB, "revision": "main"}},
        {"url": None, "hub": {**HUB, "file": "../f"}},
        {"url": None, "hub": {**HUB, "repo": "data"}},
    ],
)
def test_what_pins_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source_of(b"", **changes)


def test_shipped_suites_pin_sha256_address_and_licence() -> None:
    shipped = registry()
    suites = [shipped.load(name, {}) for name in shipped.paths]
    sources = [source for suite in suites if isinstance(suite, SourcedSuite) for source in suite.sources.values()]
    assert len({source.sha256 for source in sources}) == len(sources) >= 3


def test_mirror_serves_by_content_under_any_name(cache: SourceCache) -> None:
    path = cache.find(source_of(b"second"))
    assert path is not None
    assert path.name == "prompts.json"
    assert path.read_bytes() == b"second"
    # From now on without the mirror.
    assert without_mirror(cache).find(source_of(b"second")) == path


def test_damaged_file_in_the_cache_is_replaced_or_missing(cache: SourceCache) -> None:
    source = source_of(b"first")
    path = cache.find(source)
    assert path is not None
    path.write_bytes(b"FIRST")
    assert without_mirror(cache).find(source) is None
    with pytest.raises(SuiteError, match=r"prompts\.json: damaged in the cache"):
        without_mirror(cache).require({"prompts": source}, "mine")
    assert cache.find(source) == path
    assert path.read_bytes() == b"first"


def test_error_names_all_missing_files_and_what_to_do(cache: SourceCache) -> None:
    sources = {"a": source_of(b"first"), "b": source_of(b"x", "b.txt"), "c": source_of(b"y", "c.txt")}
    with pytest.raises(SuiteError) as caught:
        cache.require(sources, "mine")
    message = str(caught.value)
    assert "2 problems in the sources of suite mine" in message
    for role, name in (("b", "b.txt"), ("c", "c.txt")):
        assert f"{name}: not in the cache ({cache.folder}), not in the mirror" in message
        assert f"expected sha256 {sources[role].sha256} from https://example.org/{name} (CC BY 4.0)" in message
    for advice in ("epa-bench suites fetch mine", "--mirror DIR", "EPA_BENCH_MIRROR"):
        assert advice in message
    (path,) = cache.require({"a": sources["a"]}, "mine").values()
    assert path.read_bytes() == b"first"


def test_other_bytes_under_the_expected_name_are_mentioned(cache: SourceCache, mirror: Path) -> None:
    (mirror / "below" / "prompts.json").write_bytes(b"another edition")
    with pytest.raises(SuiteError) as caught:
        cache.require({"prompts": source_of(b"the edition")}, "mine")
    actual = hashlib.sha256(b"another edition").hexdigest()
    assert f"(below/prompts.json there has sha256 {actual})" in str(caught.value)


def test_mirror_remembers_digests_and_the_copy_is_checked_all_the_same(cache: SourceCache, mirror: Path) -> None:
    """A memo that lies is believed, so files are not read again; what is then copied is not."""
    assert cache.find(source_of(b"nonesuch")) is None
    memo = cache.folder / "mirror_digests.json"
    known = json.loads(memo.read_text())
    assert sorted(known.values()) == sorted(hashlib.sha256(c).hexdigest() for c in (b"first", b"second"))
    wanted = source_of(b"wanted")
    memo.write_text(json.dumps({key: wanted.sha256 for key in known if "first" in key}))
    fresh = SourceCache(cache.folder, Mirror(mirror, memo))
    actual = hashlib.sha256(b"first").hexdigest()
    with pytest.raises(SuiteError, match=f"first: expected the bytes of prompts.json, .* got {actual}"):
        fresh.find(wanted)
    assert not fresh.path(wanted).exists()
    assert not list(fresh.path(wanted).parent.iterdir())


@pytest.mark.parametrize("memo", ["", "[]", '{"a"'])
def test_damaged_memo_only_costs_time(memo: str, cache: SourceCache) -> None:
    cache.folder.mkdir()
    (cache.folder / "mirror_digests.json").write_text(memo)
    assert cache.find(source_of(b"first")) is not None


def test_changed_file_in_the_mirror_is_read_again(cache: SourceCache, mirror: Path) -> None:
    assert cache.find(source_of(b"third")) is None
    (mirror / "first").write_bytes(b"third")
    memo = cache.folder / "mirror_digests.json"
    assert SourceCache(cache.folder, Mirror(mirror, memo)).find(source_of(b"third")) is not None


def test_files_of_another_size_are_not_read(cache: SourceCache) -> None:
    assert cache.find(source_of(b"second", bytes=6)) is not None
    assert len(json.loads((cache.folder / "mirror_digests.json").read_text())) == 1


def test_mirror_that_is_no_folder(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, Mirror(tmp_path / "nonesuch", tmp_path / "memo"))
    with pytest.raises(SuiteError, match=r"no mirror folder at .*nonesuch"):
        cache.find(source_of(b"x"))


def test_cache_that_cannot_be_written_names_the_variable(tmp_path: Path, mirror: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = SourceCache(tmp_path / "cache", Mirror(mirror, tmp_path / "memo"))
    with pytest.raises(StoreError, match="a file stands where a folder should be"):
        cache.find(source_of(b"first"))


def test_folders_from_the_environment(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPA_BENCH_CACHE", str(tmp_path / "here"))
    monkeypatch.delenv("EPA_BENCH_MIRROR", raising=False)
    assert source_cache() == SourceCache(tmp_path / "here", None)
    monkeypatch.setenv("EPA_BENCH_MIRROR", str(mirror))
    assert source_cache().find(source_of(b"first")) is not None
    given = source_cache(tmp_path)
    assert given.mirror is not None
    assert given.mirror.folder == tmp_path
    monkeypatch.delenv("EPA_BENCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source_cache().folder == tmp_path / ".cache" / "epa-bench"
