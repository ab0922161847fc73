"""The verb that executors start on other machines: one cell of a work order."""

from pathlib import Path
from typing import Annotated

import typer


def cell(
    order: Annotated[Path, typer.Argument(metavar="ORDER", help="A work order, as a running sweep wrote it.")],
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Which of its cells.")],
    lifeline: Annotated[
        bool, typer.Option("--lifeline", help="End when standard input ends: with the parent.")
    ] = False,
) -> None:
    """Compute one cell. Standard output tells progress and the end, a line of JSON each; what else is printed goes to
    standard error."""
    from epa_bench.core.cell_messages import Moved, Remark, run_telling
    from epa_bench.core.lines import end_with_input, keep_standard_output
    from epa_bench.core.notices import forward_notices
    from epa_bench.core.records import Record
    from epa_bench.execution.launcher import forget_launcher
    from epa_bench.pipeline.work_order import run_ordered

    answers = keep_standard_output()

    def tell(message: Record) -> None:
        print(message.model_dump_json(), file=answers, flush=True)

    if lifeline:
        end_with_input()
    forget_launcher()
    forward_notices(lambda text: tell(Remark(text=text)))
    run_telling(lambda: run_ordered(order, digest, lambda done, total: tell(Moved(done=done, total=total))), tell)
