"""What decoding settings are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from epa_bench.engines.protocol import Decoding


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", -0.1), ("temperature", float("nan")), ("max_new_tokens", 0), ("top_p", 0.9), ("seed", 1.5)],
)
def test_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Decoding.model_validate({field: value})


def test_decoding_is_recorded_as_it_is() -> None:
    decoding = Decoding(temperature=0.7, max_new_tokens=5, seed=3)
    assert Decoding.model_validate_json(decoding.model_dump_json()) == decoding
    assert decoding.model_dump() == {"temperature": 0.7, "max_new_tokens": 5, "seed": 3}
