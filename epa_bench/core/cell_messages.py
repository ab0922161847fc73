"""What the process of a cell tells whoever started it: a line of JSON each, on its standard output."""

import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from epa_bench.core.errors import EpaBenchError
from epa_bench.core.records import Record


class Moved(Record):
    """How far the cell is."""

    kind: Literal["moved"] = "moved"
    done: int
    total: int


class Remark(Record):
    """A notice for the user."""

    kind: Literal["notice"] = "notice"
    text: str


class Done(Record):
    """The cell is in the store. The last line of a cell that succeeded."""

    kind: Literal["done"] = "done"


class Failed(Record):
    """The last line of a cell that failed by an error of its own."""

    kind: Literal["failed"] = "failed"

    error: str
    """Name of the error's class in core/errors.py; that of another class for a bug."""

    message: str
    """The error's, or a bug's traceback."""

    @classmethod
    def of(cls, error: Exception) -> "Failed":
        known = isinstance(error, EpaBenchError)
        return cls(
            error=type(error).__name__, message=str(error) if known else "".join(traceback.format_exception(error))
        )

    def raised(self) -> Exception:
        """What the cell raised: the same class and message; RuntimeError with the traceback for a bug."""
        kinds = {kind.__name__: kind for kind in _kinds(EpaBenchError)}
        return kinds.get(self.error, RuntimeError)(self.message)


def _kinds(kind: type[EpaBenchError]) -> Iterator[type[EpaBenchError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


CellMessage = Annotated[Moved | Remark | Done | Failed, Field(discriminator="kind")]

_MESSAGE: TypeAdapter[Moved | Remark | Done | Failed] = TypeAdapter(CellMessage)


def parse_message(line: str) -> Moved | Remark | Done | Failed | None:
    """None for a line that is none of them: launchers of clusters write into the same file."""
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError:
        return None


def run_telling(work: Callable[[], None], tell: Callable[[Record], None]) -> None:
    """Runs the work and tells its end; an error is told and raised again."""
    try:
        work()
    except Exception as error:
        tell(Failed.of(error))
        raise
    tell(Done())
