"""Token ids of a whole training's rows in little memory."""

from array import array
from collections.abc import Sequence
from typing import overload

from epa_bench.data.chat import EncodedResponse


class EncodedRows(Sequence[EncodedResponse]):
    """Four bytes a token. As lists of Python's numbers, at 36 bytes each, 200,000 conversations of a thousand tokens
    would take seven gigabytes on every rank."""

    def __init__(self) -> None:
        self._ids = array("i")
        self._places: list[tuple[int, int, bool]] = []
        """Where a row's response begins, where it ends, and whether it was cut."""

    def append(self, row: EncodedResponse) -> None:
        self._ids.extend(row.prompt_ids)
        border = len(self._ids)
        self._ids.extend(row.response_ids)
        self._places.append((border, len(self._ids), row.truncated))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> EncodedResponse: ...

    @overload
    def __getitem__(self, index: slice) -> list[EncodedResponse]: ...

    def __getitem__(self, index: int | slice) -> EncodedResponse | list[EncodedResponse]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        border, end, truncated = self._places[index]
        row = range(len(self))[index]
        start = self._places[row - 1][1] if row else 0
        return EncodedResponse(self._ids[start:border].tolist(), self._ids[border:end].tolist(), truncated)
