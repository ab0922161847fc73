"""The verb that looks for the suites' prompts in the training data."""

from rich.console import Console

from epa_bench.cli.options import JsonPath, Overrides, SuiteFolders, SweepFile
from epa_bench.cli.output import grid, show
from epa_bench.cli.sweeps import open_sweep


def contamination(
    sweep: SweepFile, overrides: Overrides = [], suites: SuiteFolders = [], json_path: JsonPath = None
) -> None:
    """List training rows whose prompt a suite asks as well. Exit code 4 where data.contamination refuses them."""
    from epa_bench.judges.asking import silent
    from epa_bench.pipeline.cell_runner import CellRunner
    from epa_bench.pipeline.contamination import check_refused
    from epa_bench.pipeline.contamination import contamination as look

    run = open_sweep(sweep, overrides, suites)
    runner = CellRunner(run.store.root, run.cells.device, {})
    report = look(run.cells, run.store, lambda cell: runner(cell, silent))

    def people(console: Console) -> None:
        if report.overlaps:
            rows = [overlap.model_dump(include={"row", "suite", "kind", "shared"}) for overlap in report.overlaps]
            console.print(grid([{**row, "shared": row["shared"][:60]} for row in rows]))
        console.print(f"{report}; policy: {report.policy}" if report.overlaps else f"no overlap in {report.rows} rows")
        console.print("compared with: " + ", ".join(f"{number} of {suite}" for suite, number in report.prompts.items()))

        if report.not_compared:
            console.print(f"not compared: {', '.join(report.not_compared)}")

    show(people, report.model_dump_json(indent=2) + "\n", json_path)
    check_refused(report)
