"""Sections to one HTML page that opens from disk: everything inlined, but for data too large, in files beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from epa_bench import __version__
from epa_bench.core.one_line import one_line
from epa_bench.report.embed import embedded_json, escaped_json, plain_json, script_hash
from epa_bench.report.section import Section

_FOLDER = Path(__file__).parent
_STYLES = ("page.css", "table.css", "answers.css", "print.css")
_SCRIPTS = (
    "page.js",
    "charts.js",
    "table.js",
    "provenance.js",
    "text.js",
    "diff.js",
    "list.js",
    "answer.js",
    "answers.js",
)

_INLINE_BYTES = 2_000_000
"""Chunks of data that are together larger than this go to files: with Plotly's 4.8 MB the page stays below 10 MB."""

CHUNK_FILES = "*-[0-9][0-9][0-9][0-9].js"
"""Their names, in a folder of their own."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is written."""

    html: str

    files: dict[str, str]
    """Path relative to the page -> script that hands over a chunk of data."""


def render_page(title: str, sections: Sequence[Section], files_folder: str) -> Page:
    """`files_folder`: name of the folder beside the page for what is too large to be inlined.

    Equal sections give equal bytes.
    """
    inlined = sum(len(chunk.encode()) for section in sections for chunk in section.chunks) <= _INLINE_BYTES
    names = {
        section.anchor: [f"{files_folder}/{section.anchor}-{n:04d}.js" for n in range(len(section.chunks))]
        for section in sections
        if section.chunks and not inlined
    }
    charts = any(section.charts for section in sections)
    theme, script = _static("theme.js"), "".join(map(_static, _SCRIPTS))
    plotly = plotly_script() if charts else ""
    html = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            version=__version__,
            sections=sections,
            inlined=inlined,
            chunk_files=names,
            style=Markup("".join(map(_static, _STYLES))),
            theme=Markup(theme),
            script=Markup(script),
            plotly=Markup(plotly),
            policy=_policy([theme, script, plotly]),
        )
    )
    return Page(
        html,
        {
            name: f"epaBench.receive({embedded_json(section.anchor)},{escaped_json(chunk)});\n"
            for section in sections
            for name, chunk in zip(names.get(section.anchor, ()), section.chunks, strict=False)
        },
    )


@cache
def plotly_script() -> str:
    """Plotly's own bundle, from its Python package."""
    # Late: half a second, and only charts need it.
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    script: str = get_plotlyjs()
    assert "</script" not in script.lower()
    assert "<!--" not in script
    return script


def _policy(scripts: Sequence[str]) -> str:
    """Only the scripts of this page and files beside it run, and nothing is fetched: a second wall behind escaping."""
    allowed = " ".join(script_hash(script) for script in scripts if script)
    return (
        f"default-src 'none'; script-src 'self' file: {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _static(name: str) -> str:
    return (_FOLDER / "static" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = one_line
    environment.filters["json_script"] = lambda value: Markup(embedded_json(value))
    environment.filters["tojson_text"] = plain_json
    environment.filters["json_text"] = lambda text: Markup(escaped_json(text))
    return environment
