"""Rows of token ids come back as they went."""

from hypothesis import given
from hypothesis import strategies as st

from epa_bench.data.chat import EncodedResponse
from epa_bench.data.encoded_rows import EncodedRows

_IDS = st.lists(st.integers(0, 2**31 - 1), max_size=5)


@given(st.lists(st.builds(EncodedResponse, _IDS, _IDS.filter(bool), st.booleans())), st.slices(6))
def test_it_is_the_list_of_its_rows(rows: list[EncodedResponse], part: slice) -> None:
    held = EncodedRows()
    for row in rows:
        held.append(row)
    assert list(held) == rows
    assert [held[-1 - i] for i in range(len(rows))] == rows[::-1]
    assert held[part] == rows[part]
