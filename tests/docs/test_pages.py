"""Every page of the documentation: its commands are run, its output is what they print, its links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import epa_bench
from epa_bench.cli import app
from tests.docs.console import run
from tests.judge_server import JudgeServer
from tests.pipeline.published import rate

DOCS = Path(epa_bench.__file__).parent / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
FIRST = "quickstart"
"""What it leaves is where the others start."""


def _environment(folder: Path, judge: str) -> dict[str, str]:
    """`JUDGE_URL` is a judge on loopback that has an opinion on everything."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    command = programs / "epa-bench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m epa_bench "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "EPA_BENCH_CACHE": str(folder / "cache"),
        "JUDGE_URL": judge,
    }


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workshop")
    run(PAGES[FIRST], folder, _environment(folder, ""))
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_commands_do_what_the_page_shows(page: str, workshop: Path, tmp_path: Path) -> None:
    if page == FIRST:
        return
    folder = Path(shutil.copytree(workshop, tmp_path / "workshop"))
    with JudgeServer(rate) as server:
        run(PAGES[page], folder, _environment(folder, server.url))


def test_topics_are_listed_and_shown() -> None:
    def printed(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "epa_bench", "docs", *arguments], capture_output=True, text=True, check=False
        )

    assert [line.split()[0] for line in printed().stdout.splitlines()] == list(PAGES)
    assert printed(FIRST).stdout == PAGES[FIRST]
    unknown = printed("unknown")
    assert (unknown.returncode, FIRST in unknown.stderr) == (3, True)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_only_named_exist(page: str) -> None:
    """In running text and in blocks that need a cluster: verbs, options and the number of arguments."""
    spoken = re.findall(r"`(epa-bench [^`]+)`", PAGES[page])
    unrun = [
        block for language, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGES[page], re.M | re.S) if language == "bash"
    ]
    for line in [*spoken, *(line for block in unrun for line in block.replace("\\\n", " ").splitlines())]:
        words = shlex.split(line, comments=True)
        if words[:1] == ["epa-bench"]:
            check_command(words[1:])


def check_command(words: list[str]) -> None:
    """Raises click's UsageError where the command line has no such verb or option."""
    command: Any = get_command(app)
    while hasattr(command, "commands") and words != ["--help"]:
        assert words[0] in command.commands, f"no verb {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if words and words != ["--help"]:
        command.make_parser(command.make_context("", [], resilient_parsing=True)).parse_args(list(words))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert PAGES[page].startswith("# ")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page]):
        assert target.startswith("https://") or (DOCS / target).exists(), target


def test_the_readme_names_every_page() -> None:
    readme = DOCS.parents[1] / "README.md"
    assert [page for page in PAGES if f"epa_bench/docs/{page}.md" not in readme.read_text(encoding="utf-8")] == []
