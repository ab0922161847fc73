"""What everything was computed by and from: notes of the table, packages, processors, the whole configuration."""

from collections import Counter
from dataclasses import dataclass

from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Section, Table, each_run


@dataclass(frozen=True, slots=True)
class RunVersions:
    """Of one run."""

    run: str
    notes: tuple[str, ...]
    packages: Table
    configuration: str
    """The resolved sweep, as YAML; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What the template reads."""

    runs: tuple[RunVersions, ...]
    steps: dict[str, Table]
    """Run -> its cells by step, of those whose cells are here."""


def versions(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    steps, missing = each_run([run for run in runs if run.listed], lambda run: (run.name, _steps(run)))
    data = Versions(tuple(map(_of_run, runs)), dict(steps))
    return Section("versions", "Versions and configuration", "versions.html", data, missing)


def _of_run(run: LoadedRun) -> RunVersions:
    sweep = run.folder / "sweep.yaml" if run.folder else None
    return RunVersions(
        run=run.name,
        notes=run.board.notes,
        packages=Table(("Package or data", "Version"), tuple(sorted(run.board.versions.items()))),
        configuration=sweep.read_text(encoding="utf-8") if sweep and sweep.is_file() else "",
    )


def _steps(run: LoadedRun) -> Table:
    """The cells by step, code and processor; seconds are left out, which change when a cell is computed again."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for digest, step in (run.listed.table if run.listed else {}).items():
        manifest = run.open(digest).manifest
        code = manifest.recipe["versions"].get("code", "")
        counts[step, str(code), manifest.processor or "not recorded"] += 1
    rows = tuple((*key, str(number)) for key, number in sorted(counts.items()))
    return Table(("Step", "Digest of its code", "Processor", "Cells"), rows)
