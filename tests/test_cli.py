"""The command line: verbs, help, exit codes, what goes to which stream."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from epa_bench import __version__
from epa_bench.losses.table import LOSSES
from epa_bench.suites.registry import registry

if TYPE_CHECKING:
    from tests.conftest import Workplace

VERBS = (
    "run",
    "plan",
    "watch",
    "train",
    "generate",
    "judge",
    "score",
    "table",
    "push",
    "trend",
    "explain",
    "diff",
    "gc",
    "suites",
    "losses",
    "published",
)


def test_version(workplace: "Workplace") -> None:
    done = workplace.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"epa-bench {__version__}\n", "")


def test_help_lists_every_verb_and_exit_code(workplace: "Workplace") -> None:
    for arguments in ([], ["--help"]):
        done = workplace.run(*arguments)
        assert done.returncode == 0
        assert done.stderr == ""
        for verb in VERBS:
            assert re.search(rf"\b{verb}\b", done.stdout)
        for code in (
            "0 done",
            "3 configuration",
            "4 data",
            "5 checkpoint",
            "6 store",
            "10 a worker",
            "11 judge",
            "12 hub",
            "13 several of these",
            "130 interrupted",
        ):
            assert code in " ".join(done.stdout.split())


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, workplace: "Workplace") -> None:
    done = workplace.run(verb, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert ("SWEEP" in done.stdout) == (
        verb not in ("explain", "diff", "gc", "suites", "losses", "published", "trend", "watch")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command 'fly'"),
        (["run"], "Missing argument 'SWEEP'"),
        (["run", "mini.yaml", "--frobnicate"], "No such option: --frobnicate"),
        (["run", "mini.yaml", "--set"], "'--set' requires an argument"),
        (["run", "mini.yaml", "other.yaml"], "unexpected extra argument"),
        (["--frobnicate"], "No such option: --frobnicate"),
        (["run", "mini.yaml", "--json", "."], "'--json'"),
    ],
)
def test_wrong_usage_is_exit_code_3(arguments: list[str], words: str, workplace: "Workplace") -> None:
    done = workplace.run(*arguments)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "see epa-bench --help" in done.stderr
    assert "Traceback" not in done.stderr


def test_suites(workplace: "Workplace") -> None:
    shown = json.loads(workplace.run("suites", "--json", "-").stdout)
    assert [row["name"] for row in shown] == list(registry().paths)
    assert all(row["kind"] and row["description"] for row in shown)
    assert "embedded_pairwise" in workplace.run("suites").stdout


def test_suites_of_a_folder_and_of_none(workplace: "Workplace") -> None:
    mine = workplace.folder / "mine" / "greedy"
    mine.mkdir(parents=True)
    (mine / "suite.yaml").write_text("kind: generation\ndescription: d\ndecoding: {temperature: 0}\n")
    shown = json.loads(workplace.run("suites", "--suites", "mine", "--json", "-").stdout)
    assert "greedy" in [row["name"] for row in shown]
    done = workplace.run("suites", "--suites", "nonesuch")
    assert done.returncode == 9
    assert "no folder of suites at nonesuch" in done.stderr
    (mine / "suite.yaml").write_text("kind: generation\ndescription: d\n")
    done = workplace.run("suites", "--suites", "mine")
    assert done.returncode == 9
    assert "mine/greedy/suite.yaml" in done.stderr
    assert "decoding" in done.stderr


def test_losses(workplace: "Workplace") -> None:
    shown = json.loads(workplace.run("losses", "--json", "-").stdout)
    rows = {row["name"]: row for row in shown}
    assert list(rows) == list(LOSSES)
    smoothing = "label_smoothing = 0.1 (at least 0 and below 0.5): share of the labels that are wrong"
    assert rows["cdpo"]["options"] == smoothing
    assert [name for name, row in rows.items() if row["reference_free"]] == ["simpo"]
    assert [name for name, row in rows.items() if row["needs_gold"]] == ["infonca"]
    assert [name for name, row in rows.items() if row["uses_weak"]] == ["epa"]
    assert all(row["source"] and row["summary"] for row in shown)
    assert "label_smoothing" in workplace.run("losses").stdout


def test_json_on_standard_output_is_nothing_but_json(finished: "Workplace", workplace: "Workplace") -> None:
    """Values are owed, so the run also prints progress; on stderr."""
    place = finished.copy(workplace.folder, without=("values",))
    done = place.run("run", "mini.yaml", "--json", "-")
    assert done.returncode == 0
    assert done.stdout.encode() == finished.tables()["mini.json"]
    lines = done.stderr.splitlines()
    assert lines[0] == "37 of 69 cells are in the store already"
    assert all(re.fullmatch(r"\[\d+/69\] .+: \d+\.\d s", line) for line in lines[1:-1])
    assert len(lines) == 1 + 32 + 1


def test_tables_for_people_fit_a_pipe(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    done = place.run("table", "mini.yaml")
    assert done.returncode == 0
    assert "epa-1-1-2" in done.stdout
    assert "win rate" in done.stdout
    assert "\x1b" not in done.stdout


def test_reader_that_goes_away_is_no_traceback(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    process = place.start("table", "mini.yaml", "--json", "-")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in err


def test_live_view_on_a_terminal(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder, without=("values", "logps", "responses"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "epa_bench", "run", "mini.yaml"],
        cwd=place.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 120)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    assert process.wait() == 0, shown.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "Traceback" not in text
    assert "Exception" not in text
    assert re.search(r"cells\s+━+", text)
    assert "[69/69]" in text
    assert place.tables() == finished.tables()
