"""A small sweep file, and a loader that takes overrides."""

from collections.abc import Callable

import pytest

from epa_bench.config.load import LoadedSweep, load_sweep
from epa_bench.config.yaml12 import load_document
from epa_bench.core.errors import ConfigError

SWEEP = """\
name: demo
reference:
  kind: scratch
  model:
    hidden_size: 128
    num_attention_heads: 4
data:
  kind: embedded
  correct: 0.6
methods:
  dpo:
    loss: dpo
    beta: [0.1, 0.3]
    learning_rate: 5e-7
  epa:
    loss: epa
    weak: 2
seeds: [1, 2]
"""

Load = Callable[..., LoadedSweep]
Problems = Callable[..., list[str]]


@pytest.fixture
def load() -> Load:
    """load(*overrides, text=...): the sweep above, or another text."""

    def run(*overrides: str, text: str = SWEEP) -> LoadedSweep:
        return load_sweep(load_document(text, "sweep.yaml"), overrides)

    return run


@pytest.fixture
def problems(load: Load) -> Problems:
    """problems(*overrides, text=...): the lines of the error that lists them."""

    def run(*overrides: str, text: str = SWEEP) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(*overrides, text=text)
        header, *lines = str(caught.value).splitlines()
        assert header == f"{len(lines)} problem{'s' * (len(lines) != 1)} in sweep.yaml:"
        return [line.strip() for line in lines]

    return run
