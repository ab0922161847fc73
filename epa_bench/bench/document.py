"""`leaderboards/performance.md`: a section for each benchmark, of which a run writes its own and keeps the others."""

from pathlib import Path

from epa_bench.core.errors import DataError
from epa_bench.core.files import atomic_write_text

_HEAD = """\
# Performance

Written by `epa-bench bench`. Ratios are of one run on one machine; yours will give others, by the same command.
"""


def put_section(path: Path, name: str, text: str) -> None:
    """Writes section `name` into the file, in place of the one that is there; makes the file if there is none.

    Raises DataError for a file that is not of this kind, StoreError where it cannot be written.
    """
    document = path.read_text(encoding="utf-8", errors="replace") if path.exists() else _HEAD
    if not document.startswith(_HEAD):
        raise DataError(f"{path} was not written by `epa-bench bench`; name another file with --out")
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, found, rest = document.partition(opening)
    after = rest.partition(closing)[2] if found else ""
    separator = "" if found else "\n"
    atomic_write_text(path, f"{before}{separator}{opening}{text}{closing}{after}")
