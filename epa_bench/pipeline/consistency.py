"""What the parts of a sweep ask of each other. Found before anything is computed, not after days of training."""

from collections.abc import Iterator, Mapping

from epa_bench.config.load import LoadedSweep
from epa_bench.config.schema import EmbeddedData, ScratchReference, Sweep
from epa_bench.config.yaml12 import Location
from epa_bench.core.errors import ConfigError, Problem, list_problems
from epa_bench.suites.definitions import LinearitySuite, PairwiseSuite, SuiteDefinition


def check_consistency(loaded: LoadedSweep, suites: Mapping[str, SuiteDefinition]) -> None:
    """Raises ConfigError that lists every contradiction with its place in the file."""
    sweep = loaded.config
    found = [*_context(sweep), *_gold(sweep, suites)]
    if found:
        problems = [Problem(loaded.document.where(location), message) for location, message in found]
        raise ConfigError(list_problems(problems, loaded.document.name))


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


def _gold(sweep: Sweep, suites: Mapping[str, SuiteDefinition]) -> Iterator[tuple[Location, str]]:
    """Without this, the gold judge would call every pair of answers to a foreign prompt a draw."""
    if isinstance(sweep.data, EmbeddedData):
        return
    for name, suite in suites.items():
        if isinstance(suite, LinearitySuite | PairwiseSuite):
            needs = "mismatched responses need" if isinstance(suite, LinearitySuite) else "the gold judge needs"
            yield (
                ("suites", name),
                f"`suites.{name}`: {needs} a gold reward defined for any text, which only the embedded task has; "
                "leave this suite out of a sweep over files",
            )
