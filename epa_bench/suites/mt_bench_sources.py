"""MT-Bench's own texts from the cache of sources."""

from epa_bench.core.files import read_records
from epa_bench.judges.template import PromptTemplate
from epa_bench.suites.definitions import MtBenchSuite
from epa_bench.suites.mt_bench import MtBench, judge_templates, mt_bench
from epa_bench.suites.mt_bench_files import JudgePrompt, ModelAnswer, MtQuestion
from epa_bench.suites.sources import SourceCache


def open_mt_bench(name: str, suite: MtBenchSuite, cache: SourceCache) -> MtBench:
    """The texts of suite `name` with the reference set it names. Raises SuiteError where a file is not in the cache."""
    questions, references, prompts = suite.roles
    paths = cache.require({role: suite.sources[role] for role in suite.roles}, name)
    return mt_bench(
        read_records(paths[questions], MtQuestion),
        read_records(paths[references], ModelAnswer),
        read_records(paths[prompts], JudgePrompt),
    )


def open_judge_templates(name: str, suite: MtBenchSuite, cache: SourceCache) -> dict[str, PromptTemplate]:
    """The judge prompts of suite `name` alone. Raises SuiteError where their file is not in the cache."""
    role = suite.roles[2]
    return judge_templates(read_records(cache.require({role: suite.sources[role]}, name)[role], JudgePrompt))
