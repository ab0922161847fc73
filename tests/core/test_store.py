"""The store: addresses, atomicity, damage, full disks, locks."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from epa_bench.core.errors import StoreError
from epa_bench.core.store import CellSpec, Store

SPEC = CellSpec(step="train", config={"beta": 0.1, "lr": 5e-7}, inputs={}, versions={"code": "a"}, label="dpo, seed 1")


def write_answer(folder: Path) -> None:
    (folder / "answer.txt").write_text("42\n")


def test_address_ignores_key_order_and_label() -> None:
    same = replace(SPEC, config={"lr": 5e-7, "beta": 0.1}, label="other", hints={"path": "/a"})
    assert same.digest == SPEC.digest


@pytest.mark.parametrize(
    "change",
    [
        {"step": "generate"},
        {"config": {"beta": 0.2, "lr": 5e-7}},
        {"inputs": {"reference": SPEC}},
        {"versions": {"code": "b"}},
    ],
)
def test_any_change_of_recipe_is_another_cell(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).digest != SPEC.digest  # type: ignore[arg-type]


def test_changed_input_of_an_input_is_another_cell() -> None:
    upstream = replace(SPEC, step="reference")
    changed = replace(upstream, config={"beta": 0.3})
    assert replace(SPEC, inputs={"reference": upstream}).digest != replace(SPEC, inputs={"reference": changed}).digest


def test_compute_runs_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    calls = []

    def work(folder: Path) -> None:
        calls.append(folder)
        write_answer(folder)

    assert not store.has(SPEC)
    first = store.compute(SPEC, work)
    second = Store(tmp_path / "store").compute(SPEC, work)
    assert len(calls) == 1
    assert first.file("answer.txt").read_text() == second.file("answer.txt").read_text() == "42\n"
    assert second.manifest.recipe["config"] == SPEC.config


def test_failed_work_leaves_no_cell_and_a_fresh_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        store.compute(SPEC, fail)
    assert not store.has(SPEC)
    cell = store.compute(SPEC, write_answer)
    assert set(cell.manifest.outputs) == {"answer.txt"}


def test_resuming_step_finds_what_was_left(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def killed(folder: Path) -> None:
        (folder / "part").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.compute(SPEC, killed, resumes=True)
    seen = []
    store.compute(SPEC, lambda folder: seen.append((folder / "part").read_text()), resumes=True)
    assert seen == ["1"]


def test_damaged_output_is_noticed(tmp_path: Path) -> None:
    cell = Store(tmp_path / "store").compute(SPEC, write_answer)
    (cell.folder / "answer.txt").write_text("43\n")
    with pytest.raises(StoreError, match="not what was written"):
        cell.file("answer.txt")
    with pytest.raises(StoreError, match="holds no"):
        cell.file("other.txt")


def test_damaged_manifest_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    cell = store.compute(SPEC, write_answer)
    (cell.folder / "cell.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        store.open(SPEC)


def test_other_format_is_refused_and_kept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (root / "store.json").write_text('{"format": 999}')
    with pytest.raises(StoreError, match="format 999"):
        Store(root)
    assert (root / "store.json").read_text() == '{"format": 999}'


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match="not empty"):
        Store(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_two_first_runs_do_not_take_each_other_for_strangers(tmp_path: Path) -> None:
    (tmp_path / ".store.json.4711.tmp").write_text("half a st")
    Store(tmp_path)
    assert (tmp_path / "store.json").is_file()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_a_clear_error_and_loses_nothing(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    kept = store.compute(SPEC, write_answer)
    big = replace(SPEC, step="big")

    def fill(folder: Path) -> None:
        (folder / "weights").write_bytes(b"0" * 2**21)

    with pytest.raises(StoreError, match="no space left") as caught:
        store.compute(big, fill)
    assert caught.value.exit_code == 6
    assert not store.has(big)
    assert kept.file("answer.txt").read_text() == "42\n"

    def report_and_clean(folder: Path) -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with pytest.raises(StoreError, match="no space left"):
        store.compute(big, report_and_clean)
    # Space comes back: the failed attempt's staging folder is cleared by the next one.
    assert store.compute(big, write_answer).file("answer.txt").exists()


def run_unprivileged(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code as a user without rights where this process is root (root may write anywhere)."""
    drop = "import os\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    return subprocess.run(
        [sys.executable, "-c", "import epa_bench.core.store\n" + drop + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_folder_without_permission_is_a_clear_error(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    code = """
        import sys
        from pathlib import Path
        from epa_bench.core.errors import StoreError
        from epa_bench.core.store import Store
        try:
            Store(Path(sys.argv[1]))
        except StoreError as error:
            print(error)
        """
    done = run_unprivileged(code, str(locked / "store"))
    assert "no permission to write" in done.stdout, done.stderr


def test_killed_owner_frees_its_lock(tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from epa_bench.core.store import CellSpec, Store
        spec = CellSpec(step="train", config={"beta": 0.1, "lr": 5e-7}, inputs={}, versions={"code": "a"})
        def work(folder):
            print("started", flush=True)
            time.sleep(60)
        Store(Path(sys.argv[1])).compute(spec, work)
        """
    root = tmp_path / "store"
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "started\n"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert Store(root).compute(SPEC, write_answer).file("answer.txt").exists()


def test_second_process_waits_for_the_first(tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from epa_bench.core.store import CellSpec, Store
        spec = CellSpec(step="train", config={"beta": 0.1, "lr": 5e-7}, inputs={}, versions={"code": "a"})
        def work(folder):
            print("started", flush=True)
            time.sleep(0.5)
            (folder / "answer.txt").write_text("from the first")
        Store(Path(sys.argv[1])).compute(spec, work)
        """
    root = tmp_path / "store"
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    assert Store(root).compute(SPEC, write_answer).file("answer.txt").read_text() == "from the first"
    assert owner.wait() == 0
    owner.stdout.close()
