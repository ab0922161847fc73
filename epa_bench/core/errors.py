"""Every error a user can cause, with the exit code the command line ends with.

Exit codes 0, 1 and 2 are verdicts (0 done, 1 a bug or a breach, 2 inconclusive), so user errors start at 3.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


class EpaBenchError(Exception):
    """A problem the user can mend. The message says what was expected, what came and what to do."""

    exit_code = 1


class ConfigError(EpaBenchError):
    """A configuration file, a `--set` override or a command-line argument is wrong."""

    exit_code = 3


class DataError(EpaBenchError):
    """A data file or a row in it is wrong."""

    exit_code = 4


class CheckpointError(EpaBenchError):
    """A model or tokenizer cannot be used."""

    exit_code = 5


class StoreError(EpaBenchError):
    """The store cannot be read or written: another version, a full disk, a folder without permission, damage."""

    exit_code = 6


class DiskError(StoreError):
    """The disk is full or cannot be written to: every cell would fail alike."""


class PlanError(EpaBenchError):
    """The plan of comparison groups cannot be built from this data."""

    exit_code = 7


class TrainingError(EpaBenchError):
    """Training stopped: a loss that is not finite, a step-0 value that is not what the loss must give."""

    exit_code = 8


class SuiteError(EpaBenchError):
    """A suite's definition is wrong or does not fit the data it is asked to measure."""

    exit_code = 9


class WorkerError(EpaBenchError):
    """A worker process died. Nothing is lost: a rerun goes on with what is owed."""

    exit_code = 10


class JudgeError(EpaBenchError):
    """The judge cannot be asked: no key or a refused one, no such model, no answer, the budget is spent."""

    exit_code = 11


class HubError(EpaBenchError):
    """The hub cannot be reached or refuses: no token, one it does not take, a repository of somebody else."""

    exit_code = 12


class CellsFailedError(EpaBenchError):
    """Cells of a sweep failed; those that do not need them are done."""

    exit_code = 13
    """Where they failed for several kinds of reason; where for one, its own."""

    def __init__(self, message: str, exit_codes: Collection[int] = ()) -> None:
        super().__init__(message)
        if len(set(exit_codes)) == 1:
            (self.exit_code,) = set(exit_codes)


INTERRUPTED_EXIT_CODE = 130
"""Ctrl-C: the shell's convention, 128 + SIGINT."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place; errors that find several list them all."""

    where: str
    """`file:line` or `file, row n`."""

    what: str
    """What was expected, what came, what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def list_problems(problems: Sequence[Problem], noun: str) -> str:
    """All problems as one message, a line each; at most 20 are shown, the rest are counted."""
    shown = [f"  {problem}" for problem in problems[:20]]
    if len(problems) > len(shown):
        shown.append(f"  ... and {len(problems) - len(shown)} more")
    return "\n".join([f"{len(problems)} problem{'s' * (len(problems) != 1)} in {noun}:", *shown])
