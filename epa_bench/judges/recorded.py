"""A judge that was recorded: its replies, read again. Nothing is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from epa_bench.core.digest import canonical_json
from epa_bench.core.errors import DataError
from epa_bench.core.files import read_records
from epa_bench.judges.asking import OnAnswer, Parse, Tally, answer_in
from epa_bench.judges.records import Question, Reply, StoredReply

_V = TypeVar("_V")

NOT_RECORDED = "not recorded"


class RecordedReplies:
    """Implements `asking.Judge` from a file of StoredReply rows; a question that is not in it is an error."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read, is empty, or mixes judges or replies."""
        rows = read_records(path, StoredReply)
        judges = {canonical_json([row.model, row.decoding.model_dump(mode="json")]) for row in rows}
        if len(judges) != 1:
            raise DataError(f"{path}: expected the replies of one judge with one decoding, found {len(judges)}")
        self.name = f"{rows[0].model} (recorded)"
        self._replies: dict[str, Reply] = {}
        for number, row in enumerate(rows, start=1):
            if self._replies.setdefault(row.asked, row.reply) != row.reply:
                raise DataError(f"{path}, row {number}: another reply to a question that an earlier row answers")

    def ask_all(self, questions: Sequence[Question], parse: Parse[_V], on_answer: OnAnswer[_V]) -> Tally:
        """See `asking.Judge`. Never raises JudgeError."""
        tally = Tally()
        for index, question in enumerate(questions):
            answer = answer_in(index, self._replies.get(question.asked), parse, NOT_RECORDED)
            tally.cached += answer.error is None
            tally.count(answer.error, answer.reply, 1)
            on_answer(answer)
        return tally
