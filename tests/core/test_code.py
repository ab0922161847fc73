"""Which code a result came from."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from epa_bench.core import code
from epa_bench.core.code import checkout_commit, code_digest, package_versions, source_digest
from epa_bench.core.digest import file_sha256, folder_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of two rooms in place of this one."""
    for room in ("losses", "training"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text(room)
    monkeypatch.setattr(code, "_PACKAGE", tmp_path)
    source_digest.cache_clear()
    yield tmp_path
    source_digest.cache_clear()


def test_places_are_rooms_and_files_of_this_package() -> None:
    root = Path(code.__file__).parents[1]
    assert source_digest("core") == folder_digest(root / "core", ["*.py"])
    assert source_digest("core/records.py") == file_sha256(root / "core" / "records.py")


def test_only_the_rooms_of_a_step_count(package: Path) -> None:
    both, losses = code_digest(["losses", "training"]), code_digest(["losses"])
    (package / "training" / "a.py").write_text("changed")
    (package / "losses" / "a.cpython-311.pyc").write_text("x")
    source_digest.cache_clear()
    assert code_digest(["losses"]) == losses
    assert code_digest(["losses", "training"]) != both


def test_order_of_places_does_not_count(package: Path) -> None:
    assert code_digest(["training", "losses"]) == code_digest(["losses", "training"])


def test_which_room_holds_the_code_counts(package: Path) -> None:
    before = code_digest(["losses", "training"])
    (package / "losses" / "a.py").write_text("training")
    (package / "training" / "a.py").write_text("losses")
    source_digest.cache_clear()
    assert code_digest(["losses", "training"]) != before


def test_a_place_that_is_not_there_is_a_bug(package: Path) -> None:
    with pytest.raises(AssertionError, match=r"no source at .*lossses"):
        source_digest("lossses")


def test_package_versions() -> None:
    assert package_versions(["pydantic", "no-such-distribution-epa"]) == {"pydantic": metadata.version("pydantic")}


def test_versions_are_found_without_importing() -> None:
    program = "import sys; from epa_bench.core.code import package_versions as v; v(['torch']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()


# The commit of a checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a package in it, from which the code believes to run."""
    package = tmp_path / "checkout" / "epa_bench"
    package.mkdir(parents=True)
    (package / "a.py").write_text("one")
    monkeypatch.setattr(code, "_PACKAGE", package)
    return package.parent


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return git(folder, "rev-parse", "HEAD")


def test_commit_of_a_checkout(checkout: Path) -> None:
    assert checkout_commit() is None, "no repository yet"
    expected = commit(checkout)
    assert checkout_commit() == expected
    (checkout / "notes.txt").write_text("beside the package")
    assert checkout_commit() == expected
    (checkout / "epa_bench" / "a.py").write_text("two")
    assert checkout_commit() == f"{expected}-dirty"


def test_a_package_installed_inside_somebody_elses_checkout_has_no_commit(checkout: Path) -> None:
    commit(checkout.parent)
    assert checkout_commit() is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(checkout)
    monkeypatch.setenv("PATH", "")
    assert checkout_commit() is None
