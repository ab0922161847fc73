"""The measured process of `epa-bench bench acquire`: one pool, one encoder, one choice of rows.

Reads an AcquireJob from standard input, writes an AcquireMeasured to standard output.
"""

import os
import resource
import sys
import time

import torch

from epa_bench.acquisition.acquire import acquire
from epa_bench.acquisition.text import TextClassifier
from epa_bench.core.records import Finite, Record
from epa_bench.data.topics import CLASSES, topic_texts
from epa_bench.execution.device import cores
from epa_bench.models.classifier import new_encoder, new_tokenizer
from epa_bench.steps import loading  # noqa: F401 - sets verbosity

_VOCABULARY_TEXTS = 2000


class AcquireJob(Record):
    """What is to be chosen from what."""

    rows: int
    budget: int
    representation: str
    selector: str | None


class AcquireMeasured(Record):
    """What it took, from the rows as text to the choice."""

    selector: str
    parameters: int
    tokens: int
    """Of the whole pool."""

    seconds: Finite
    """Of the clock."""

    processor_seconds: Finite
    """All threads together: other programs' work is not in it."""

    peak_mib: Finite
    """Most memory the process ever held, imports and the pool included."""

    held_mib: Finite
    """Most of it before the choice began."""


def main() -> None:
    job = AcquireJob.model_validate_json(sys.stdin.read())
    torch.set_num_threads(cores())
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    print(measure(job).model_dump_json(), file=answers, flush=True)


def measure(job: AcquireJob) -> AcquireMeasured:
    pool = topic_texts(job.rows, seed=0)
    tokenizer = new_tokenizer([row.text for row in pool[:_VOCABULARY_TEXTS]], vocab_size=900, max_length=64)
    model = new_encoder(tokenizer, CLASSES, seed=0, device="cpu", hidden_size=128)
    tokens = sum(map(len, tokenizer([row.text for row in pool])["input_ids"]))
    held, clock, processor = _peak_mib(), time.perf_counter(), time.process_time()
    found = acquire(
        pool,
        TextClassifier(model, tokenizer, max_length=64),
        (),
        job.budget,
        seed=0,
        representation=job.representation,
        selector=job.selector,
    )
    assert len({chosen.key for chosen in found.chosen}) == job.budget
    return AcquireMeasured(
        selector=found.selector,
        parameters=model.num_parameters(),
        tokens=tokens,
        seconds=time.perf_counter() - clock,
        processor_seconds=time.process_time() - processor,
        peak_mib=_peak_mib(),
        held_mib=held,
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
