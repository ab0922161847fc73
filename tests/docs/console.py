"""The console sessions of the documentation: what is typed in them, and what stands below it.

A page is read from the top. A fenced block whose line before ends in "`NAME`:" is a file of that name; a `console`
block holds commands behind `$ `, each with its output below. In output, `...` stands for anything: a line of it for any
number of lines, one inside a line for any text. In a block that is marked `console varies`, whose figures come from a
training and so from the kind of processor, any figure stands for any other.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([\w./-]+)`:\s*$")


@dataclass(frozen=True)
class File:
    """To be written before what follows."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line of the shell, or several joined by backslashes."""

    line: str
    output: str

    varies: bool = False
    """Its figures are not the same everywhere."""


def read_page(text: str) -> Iterator[File | Command]:
    for block in _FENCE.finditer(text):
        language, marks, body = block.groups()
        if language == "console":
            yield from _commands(body, varies=marks.strip() == "varies")
        elif named := _NAMED.search(text[: block.start()]):
            yield File(named[1], body)


def _commands(body: str, varies: bool) -> Iterator[Command]:
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert not parts[0].strip(), f"output before a command: {parts[0]}"
    for part in parts[1:]:
        lines = part.splitlines(keepends=True)
        count = next(i for i, line in enumerate(lines, start=1) if not line.rstrip().endswith("\\"))
        yield Command("".join(lines[:count]).strip(), "".join(lines[count:]).strip("\n"), varies)


def run(page: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Does what a page says, in a folder; a command whose output is another one fails the test that calls it."""
    for part in read_page(page):
        if isinstance(part, File):
            (folder / part.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.name).write_text(part.text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-c", part.line],
            cwd=folder,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"$ {part.line}\n{done.stdout}"
        expected, came = (
            map(_without_figures, (part.output, done.stdout)) if part.varies else (part.output, done.stdout)
        )
        assert shown(expected, came), f"$ {part.line}\nexpected\n{part.output}\ncame\n{done.stdout}"


def _without_figures(text: str) -> str:
    """Nor the widths and the marks that follow from them."""
    text = re.sub(r"[-+]?\d[\d.,]*(?:e[-+]\d+)?", "0", text)
    text = re.sub(r"[▲▼○]", "○", re.sub(r"([━─═])\1*", r"\1", text))
    return re.sub(r" +", " ", text)


def shown(expected: str, actual: str) -> bool:
    """Whether a page shows this output. Spaces at the ends of lines do not count."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part.rstrip(" ")) for part in line.split("...")) + "[ ]*\n"
    text = "".join(f"{line.rstrip()}\n" for line in actual.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None
