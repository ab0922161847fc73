"""The planted faults fit today's code; the run that plants them takes half an hour and is a script of its own."""

from pathlib import Path

import pytest

from epa_bench.core.errors import DataError
from tests.mutations.faults import FAULTS, Fault
from tests.mutations.run import ROOT, Caught, table

TABLE = ROOT / "leaderboards" / "mutations.md"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fits_the_code(fault: Fault, tmp_path: Path) -> None:
    source = ROOT / "epa_bench" / fault.file
    copy = tmp_path / "epa_bench" / fault.file
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    fault.plant(tmp_path)
    assert copy.read_bytes() != source.read_bytes()
    compile(copy.read_text(), fault.file, "exec")
    assert all((ROOT / test.partition("::")[0]).is_file() for test in fault.tests)


def test_a_fault_whose_text_is_gone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "epa_bench").mkdir()
    (tmp_path / "epa_bench" / "a.py").write_text("b = 1\nb = 1\n")
    for before, count in (("c = 1", 0), ("b = 1", 2)):
        with pytest.raises(DataError, match=f"found {count} times"):
            Fault("x", "a.py", before, "", ()).plant(tmp_path)


def _planted(text: str) -> list[str]:
    """The faults of a table, without its header."""
    return [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")][2:]


def test_every_fault_was_caught_in_the_committed_table() -> None:
    text = TABLE.read_text()
    assert _planted(text) == _planted(table([Caught(fault, None, None) for fault in FAULTS]))
    assert f"{len(FAULTS)} of {len(FAULTS)} faults planted: {len(FAULTS)} caught" in text
