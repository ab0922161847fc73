"""The verb that shows the documentation."""

import sys
from pathlib import Path
from typing import Annotated

import typer

_FOLDER = Path(__file__).resolve().parents[1] / "docs"


def docs(
    topic: Annotated[
        str | None, typer.Argument(metavar="TOPIC", help="One of those that are listed without it.")
    ] = None,
) -> None:
    """Show a page of the documentation, or list the pages."""
    from rich.console import Console
    from rich.markdown import Markdown

    from epa_bench.core.errors import ConfigError

    pages = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.md"))}
    if topic is None:
        width = max(map(len, pages))
        for name, text in pages.items():
            print(f"{name:{width}}  {text.splitlines()[0].removeprefix('# ')}")
    elif topic not in pages:
        raise ConfigError(f"no page {topic}; there are {', '.join(pages)}")
    elif sys.stdout.isatty():
        Console().print(Markdown(pages[topic]))
    else:
        sys.stdout.write(pages[topic])
