"""The page's bytes: what is inlined, what goes beside it, and that equal input gives equal output."""

import json
import subprocess
import sys

from epa_bench.report.embed import embedded_json, escaped_json


def test_embedded_json_cannot_end_its_element_and_reads_back() -> None:
    value = ["</script><!--", "\u2028\u2029", "\x00\x1f", "a & b", "漢字 🙂"]
    text = embedded_json(value)
    assert not set("<>&\u2028\u2029\x00") & set(text)
    assert json.loads(text) == value
    assert json.loads(escaped_json(json.dumps(value))) == value


def test_the_room_starts_without_torch_and_plotly() -> None:
    code = "import sys, epa_bench.report.write; print({'torch', 'plotly'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
