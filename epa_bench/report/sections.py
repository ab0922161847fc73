"""The sections of a page, in their order."""

from epa_bench.report.answers import answers
from epa_bench.report.contamination import contamination
from epa_bench.report.judge import judge
from epa_bench.report.leaderboard import leaderboard
from epa_bench.report.rewards import rewards
from epa_bench.report.section import MakeSection
from epa_bench.report.summary import summary
from epa_bench.report.trade_offs import trade_offs
from epa_bench.report.training import training
from epa_bench.report.versions import versions

SECTIONS: tuple[MakeSection, ...] = (
    summary,
    leaderboard,
    training,
    trade_offs,
    rewards,
    answers,
    judge,
    contamination,
    versions,
)
