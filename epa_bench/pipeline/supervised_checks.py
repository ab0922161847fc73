"""What the supervised stage's settings ask of the rest of a sweep."""

from collections.abc import Iterator, Mapping

from epa_bench.config.schema import AlignedScratch, EmbeddedData, Sweep
from epa_bench.config.supervised import CheckpointSft, References, SupervisedStage, with_recipe
from epa_bench.config.yaml12 import Location
from epa_bench.suites.definitions import JudgedSuite, PairwiseSuite, SuiteDefinition


def check_supervised(sweep: Sweep, suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    """PoFT or a filter without aligned models, aligned models that are not what they should be, several references of
    what cannot have several."""
    sft = sweep.reference.sft
    if sft is not None and sweep.references is None and sft.needs_scores and not sweep.aligned:
        key = "objective" if sft.objective == "poft" else "keep"
        yield (
            ("reference", "sft", key),
            f"`reference.sft.{key}`: needs scores of aligned models; name some in `aligned`",
        )
    if sft is not None and sft.data is not None and isinstance(sweep.data, EmbeddedData):
        yield (
            ("reference", "sft", "data"),
            "`reference.sft.data`: the embedded task has supervised rows of its own; leave it out, or set "
            "`data.kind` to files",
        )
    if isinstance(sft, CheckpointSft) and sft.fsdp and sft.lora is not None:
        yield (
            ("reference", "sft", "fsdp"),
            "`reference.sft.fsdp`: the adapter of this stage is merged in the end, into weights that must be whole; "
            "leave out fsdp or lora",
        )
    if isinstance(sft, CheckpointSft) and sft.chat_template is not None and sweep.reference.template == "plain":
        yield (
            ("reference", "sft", "chat_template"),
            "`reference.sft.chat_template`: `reference.template` is plain; leave one of them out",
        )
    yield from _aligned(sweep)
    if sweep.references is not None:
        yield from _references(sweep, sweep.references, sft)
        for name, suite in suites.items():
            if isinstance(suite, JudgedSuite) and not isinstance(suite, PairwiseSuite):
                yield (
                    ("suites", name),
                    f"`suites.{name}`: a judge that costs is asked for one reference at a time; leave this suite out "
                    "of a sweep with `references`, and put runs of single references into one table with `compare`",
                )


def _aligned(sweep: Sweep) -> Iterator[tuple[Location, str]]:
    for name, model in sweep.aligned.items():
        place = f"aligned.{name}"
        if not isinstance(model, AlignedScratch):
            continue
        if not isinstance(sweep.data, EmbeddedData):
            yield (
                ("aligned", name, "kind"),
                f"`{place}.kind`: scratch is trained on the embedded task, and the data are files; name a checkpoint "
                "or scores",
            )
        if model.sft.needs_scores or model.sft.data is not None:
            yield ("aligned", name, "sft"), f"`{place}.sft`: an aligned model is trained by sft on all rows of its task"
        if sweep.data.max_length > model.model.max_position_embeddings:
            yield (
                ("aligned", name, "model"),
                f"`{place}.model.max_position_embeddings`: {model.model.max_position_embeddings}, but it scores rows "
                f"of up to `data.max_length` {sweep.data.max_length} tokens; raise it",
            )


def _references(sweep: Sweep, references: References, sft: SupervisedStage | None) -> Iterator[tuple[Location, str]]:
    if sft is None:
        yield (
            ("references",),
            "`references`: the sweep makes them; set `reference.sft`, by which the checkpoint is trained further, or "
            "`reference.kind` to scratch",
        )
        return
    if sft.needs_scores:
        yield ("reference", "sft"), "`reference.sft`: leave out objective and keep, which `references.recipes` set"
    needing = [recipe for recipe in references.recipes if with_recipe(sft, recipe, references.keep).needs_scores]
    if needing and not sweep.aligned:
        yield (
            ("references", "recipes"),
            f"`references.recipes`: {', '.join(needing)} need scores of aligned models; name some in `aligned`",
        )
    if not isinstance(sweep.data, EmbeddedData):
        if any(references.swapped):
            yield (
                ("references", "swapped"),
                "`references.swapped`: outputs are swapped in the embedded task only; leave it out for files",
            )
    elif sweep.data.swapped:
        yield ("data", "swapped"), "`data.swapped`: leave it out, `references.swapped` sets it"
    for name, method in sweep.methods.items():
        if method.seeds is not None:
            yield (
                ("methods", name, "seeds"),
                f"`methods.{name}.seeds`: leave it out, with `references` every method has the references' seeds",
            )
