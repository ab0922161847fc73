"""What the parts of a sweep ask of each other. Found before anything is computed, not after days of training."""

from collections.abc import Iterator, Mapping, Sequence

from epa_bench.config.judge import GoldJudge
from epa_bench.config.load import LoadedSweep
from epa_bench.config.lora import Lora
from epa_bench.config.schema import EmbeddedData, ScratchReference, Sweep
from epa_bench.config.values import ALL_LINEAR
from epa_bench.config.yaml12 import Location
from epa_bench.core.errors import ConfigError, Problem, SuiteError, list_problems
from epa_bench.models.adapter_files import SCRATCH_LAYERS, Adapter, layer_shapes, unmatched
from epa_bench.models.identity import locate
from epa_bench.pipeline.supervised_checks import check_supervised
from epa_bench.suites.definitions import (
    AlpacaEvalSuite,
    LmEvalSuite,
    MtBenchSuite,
    PairwiseSuite,
    RewardBench2Suite,
    SuiteDefinition,
)
from epa_bench.suites.lm_eval_data import find_tasks


def check_consistency(loaded: LoadedSweep, suites: Mapping[str, SuiteDefinition]) -> None:
    """Raises ConfigError that lists every contradiction with its place in the file, or CheckpointError."""
    sweep = loaded.config
    found = [
        *_context(sweep),
        *_judge(sweep, suites),
        *_gold(sweep, suites),
        *_unpinned(suites),
        *_lora(sweep),
        *_kept(sweep),
        *_lm_eval(sweep, suites),
        *check_supervised(sweep, suites),
    ]
    if found:
        problems = [Problem(loaded.document.where(location), message) for location, message in found]
        raise ConfigError(list_problems(problems, loaded.document.name))


def check_tasks(suites: Mapping[str, SuiteDefinition]) -> None:
    """Raises SuiteError for one of lm-eval's tasks that cannot run here. Imports lm-eval: for when one is owed."""
    from epa_bench.suites.lm_eval_tasks import check_definition

    for suite in suites.values():
        for tasks in find_tasks(list(suite.tasks), suite.folder).values() if isinstance(suite, LmEvalSuite) else ():
            for data in tasks:
                check_definition(data)


def _context(sweep: Sweep) -> Iterator[tuple[Location, str]]:
    if not isinstance(sweep.reference, ScratchReference):
        return
    wanted, positions = sweep.data.max_length, sweep.reference.model.max_position_embeddings
    if wanted > positions:
        yield (
            ("data", "max_length"),
            f"`data.max_length`: {wanted} tokens, but `reference.model.max_position_embeddings` is {positions}; "
            "lower the first or raise the second",
        )


def _kept(sweep: Sweep) -> Iterator[tuple[Location, str]]:
    if sweep.references is not None and sweep.training.keep_checkpoints:
        yield (
            ("training", "keep_checkpoints"),
            "`training.keep_checkpoints`: they are for `epa-bench frontier`, which starts from one reference; leave "
            "`references` out, or keep none",
        )


def _judge(sweep: Sweep, suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    """The gold judge knows the embedded task only, and the suite `pairwise` has no judge prompt for another."""
    gold = isinstance(sweep.judge, GoldJudge)
    for name, suite in suites.items():
        if isinstance(suite, AlpacaEvalSuite | MtBenchSuite) and gold:
            yield (
                ("suites", name),
                f"`suites.{name}`: asks a judge about texts that the gold judge knows nothing of; name one, e.g. "
                "judge: {kind: api, model: NAME, base_url: URL} or {kind: local, path: FOLDER}",
            )
        elif isinstance(suite, PairwiseSuite) and not gold:
            yield (
                ("suites", name),
                f"`suites.{name}`: is judged by the embedded task's gold reward, and `judge.kind` is "
                f"{sweep.judge.kind}; run the two in sweeps of their own",
            )


def _gold(sweep: Sweep, suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    """Without this, the gold judge would call every pair of answers to a foreign prompt a draw."""
    if isinstance(sweep.data, EmbeddedData):
        return
    for name, suite in suites.items():
        if isinstance(suite, PairwiseSuite):
            yield (
                ("suites", name),
                f"`suites.{name}`: the gold judge needs a gold reward defined for any text, which only the embedded "
                "task has; leave this suite out of a sweep over files",
            )


def _unpinned(suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    for name, suite in suites.items():
        if isinstance(suite, RewardBench2Suite) and suite.data is None:
            yield (
                ("suites", name),
                f"`suites.{name}.data`: no file is pinned for this suite; name the test split of hub data set "
                "allenai/reward-bench-2, as Parquet or JSON lines",
            )


def _lm_eval(sweep: Sweep, suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    for name, suite in suites.items():
        if not isinstance(suite, LmEvalSuite):
            continue
        try:
            find_tasks(list(suite.tasks), suite.folder)
        except SuiteError as error:
            yield ("suites", name), f"`suites.{name}`: {error}"
        if sweep.engine.script is not None:
            yield ("suites", name), f"`suites.{name}`: a script (`engine.script`) has no probabilities; leave one out"
        for task, settings in suite.tasks.items() if sweep.reference.template == "plain" else ():
            if settings.chat_template:
                yield (
                    ("suites", name),
                    f"`suites.{name}.tasks.{task}.chat_template`: true, but `reference.template` is plain; set it to "
                    "false, or the reference's template to chat",
                )


def _lora(sweep: Sweep) -> Iterator[tuple[Location, str]]:
    lora, reference = sweep.training.lora, sweep.reference
    if isinstance(reference, ScratchReference):
        layers = [
            f"model.layers.{i}.{name}" for i in range(reference.model.num_hidden_layers) for name in SCRATCH_LAYERS
        ]
        yield from _targets(lora, layers, ("training", "lora"))
        return
    supervised = reference.sft.lora if reference.sft else None
    if lora is None and supervised is None:
        return
    found = locate(reference)
    layers = list(layer_shapes(found.base or found.path))
    yield from _targets(supervised, layers, ("reference", "sft", "lora"))
    if found.adapter is None or reference.sft is not None:
        yield from _targets(lora, layers, ("training", "lora"))
    elif lora is not None:
        yield from _copied(lora, found.adapter)


def _targets(lora: Lora | None, layers: Sequence[str], section: Location) -> Iterator[tuple[Location, str]]:
    """PEFT says nothing of a wrong name beside a right one."""
    targets = (lora and lora.target_modules) or (ALL_LINEAR,)
    for target in unmatched(targets, layers) if targets != (ALL_LINEAR,) else ():
        names = sorted({layer.rpartition(".")[2] for layer in layers})
        yield (
            (*section, "target_modules"),
            f"`{'.'.join(map(str, section))}.target_modules`: no layer of the reference is called {target}; its layers "
            f"are called {', '.join(names)}",
        )


def _copied(lora: Lora, adapter: Adapter) -> Iterator[tuple[Location, str]]:
    for name, wanted in lora.model_dump(exclude_none=True).items():
        has = adapter.settings.get(name)
        if (sorted(wanted) != sorted(has or ())) if isinstance(wanted, tuple) else wanted != has:
            yield (
                ("training", "lora", name),
                f"`training.lora.{name}`: the reference is an adapter itself, a copy of which is trained on with its "
                f"own {name}, {has}; leave the key out",
            )
