"""What counts as the output that a page shows."""

import os
from pathlib import Path

import pytest

from tests.docs.console import Command, File, read_page, run, shown

PAGE = """# A page

Write `a.yaml`:

```yaml
name: a
```

```console
$ one \\
    --more
out
$ two
```

```bash
never run
```
"""


def test_files_and_commands_are_found_in_their_order() -> None:
    assert list(read_page(PAGE)) == [
        File("a.yaml", "name: a\n"),
        Command("one \\\n    --more", "out"),
        Command("two", ""),
    ]


def test_figures_of_a_training_may_be_others(tmp_path: Path) -> None:
    page = "```console varies\n$ echo 'gain  -12.5 (2, 3) ▲'\ngain +1.25 (0, 9) ○\n```\n"
    run(page, tmp_path, os.environ)
    for other in (page.replace(" varies", ""), page.replace("gain +1.25", "loss +1.25")):
        with pytest.raises(AssertionError, match="came"):
            run(other, tmp_path, os.environ)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such thing"):
        run("```console\n$ echo no such thing; false\n```\n", tmp_path, os.environ)


@pytest.mark.parametrize(
    ("expected", "actual", "is_shown"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a", "a\nb\n", False),
        ("...\nb", "a\nb\n", True),
        ("...\nb", "a\nb\nc\n", False),
        ("a ... c (1.0)", "a bb c (1.0)\n", True),
        ("a ... c (1.0)", "a bb c (110)\n", False),
        ("", "", True),
        ("", "a\n", False),
        ("...", "", True),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(expected: str, actual: str, is_shown: bool) -> None:
    assert shown(expected, actual) == is_shown
