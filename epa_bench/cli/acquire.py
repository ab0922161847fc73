"""The verb about labels that are not bought yet."""

from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import JsonPath
from epa_bench.cli.output import show_rows


def acquire(
    pool: Annotated[
        Path, typer.Argument(metavar="POOL", help="TSV or JSON lines: text, or prompt, response_a and response_b.")
    ],
    budget: Annotated[int, typer.Option(min=1, help="Rows to choose.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the chosen rows go, as JSON lines.")],
    model: Annotated[Path | None, typer.Option(metavar="DIR", help="A classifier, or for pairs a policy.")] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="DIR", help="pairs: what the policy was trained from.")
    ] = None,
    labelled: Annotated[list[Path], typer.Option(metavar="FILE", help="Rows labelled already; may be repeated.")] = [],
    representation: Annotated[
        str, typer.Option("--by", metavar="NAME", help="random, entropy, margin, features, badge or vap.")
    ] = "vap",
    selector: Annotated[
        str | None, typer.Option(metavar="NAME", help="top-k, k-means-nearest or k-means++; by default that of --by.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    layer: Annotated[str, typer.Option(help="vap: a block from 0, `middle`, or `head`.")] = "middle",
    iterations: Annotated[int, typer.Option(min=1, help="vap: power iterations, of texts.")] = 1,
    xi: Annotated[float, typer.Option(help="vap: length of the finite difference, of texts.")] = 0.1,
    unit: Annotated[bool, typer.Option("--unit", help="vap: the direction without its magnitude.")] = False,
    beta: Annotated[float, typer.Option(min=0, help="pairs: of the implicit reward.")] = 0.1,
    plain: Annotated[
        bool, typer.Option("--plain", help="pairs: prompt and response as they are; no template.")
    ] = False,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens of a text, or of prompt and response.")] = 512,
    json_path: JsonPath = None,
) -> None:
    """Choose the rows of a pool to label next, and say why each was chosen.

    [dim]epa-bench acquire pool.tsv --budget 100 --model my-classifier --labelled seen.tsv --to next.jsonl[/dim]
    """
    from epa_bench.acquisition.model import VapSettings, parse_layer
    from epa_bench.execution.device import resolve_device
    from epa_bench.pipeline.acquisition import Asked, acquire_from_files

    found = acquire_from_files(
        pool,
        labelled,
        to,
        Asked(
            model=model,
            reference=reference,
            beta=beta,
            template="plain" if plain else "chat",
            max_length=max_length,
        ),
        budget=budget,
        seed=seed,
        representation=representation,
        selector=selector,
        vap=VapSettings(layer=parse_layer(layer), iterations=iterations, xi=xi, unit=unit),
        device=resolve_device("auto"),
    )
    show_rows([{**found.model_dump(mode="json", exclude={"chosen"}), "file": str(to)}], json_path)
