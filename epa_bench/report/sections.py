"""The sections of a page, in their order."""

from epa_bench.report.answers import answers
from epa_bench.report.leaderboard import leaderboard
from epa_bench.report.section import MakeSection
from epa_bench.report.summary import summary

SECTIONS: tuple[MakeSection, ...] = (summary, leaderboard, answers)
