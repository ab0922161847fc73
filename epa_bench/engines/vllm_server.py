"""One vLLM engine for many checkpoints: weights are swapped where that is safe, else the process is started anew.

A swap is guarded on both sides. Before it, configuration, tokenizer and the headers of the weights are compared: vLLM
only warns of a missing tensor and goes on with a mix of two checkpoints, and a tensor of another shape leaves it broken
for good. After it, and after every start, the engine must give a fixed probe the log-probs that transformers gave it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedTokenizerBase

from epa_bench.core.errors import CheckpointError, WorkerError
from epa_bench.core.lines import ProcessDiedError
from epa_bench.core.notices import notice
from epa_bench.engines.vllm_process import EngineFailedError, VllmProcess, engine_error
from epa_bench.engines.vllm_wire import Generate, Generated, Rank, Ranked, Score, Scored, Start, Swap
from epa_bench.models.adapter_files import tensor_shapes
from epa_bench.models.canary import Canary
from epa_bench.models.tokenizers import check_same_tokenizer

_VOLATILE = ("_name_or_path", "transformers_version")
"""Keys of config.json that say where and by whom it was written."""

_DEATHS = 2
"""So often in a row may the process die without finishing anything before that is an error."""


@dataclass(frozen=True)
class Servable:
    """A checkpoint as vLLM takes it, already read by transformers, which misses no tensor."""

    folder: Path
    """Whole weights in safetensors, configuration and tokenizer."""

    tokenizer: PreTrainedTokenizerBase
    canary: Canary

    configuration: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors by name. Read at once: the folder may be gone when it is the next one's turn."""

    @classmethod
    def of(cls, folder: Path, tokenizer: PreTrainedTokenizerBase, canary: Canary) -> Self:
        """Reads the folder's configuration and headers. Raises CheckpointError."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kept = {key: value for key, value in config.items() if key not in _VOLATILE}
        return cls(folder, tokenizer, canary, kept, tensor_shapes(folder))


class VllmServer:
    """Serves one checkpoint at a time with `settings`; their `folder` counts for nothing."""

    def __init__(self, settings: Start) -> None:
        self.settings = settings
        self._process: VllmProcess | None = None
        self._serving: Servable | None = None
        self.starts = 0
        """Processes started so far."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def max_model_len(self) -> int:
        """Tokens of a prompt and its answer together."""
        assert self._process is not None
        return self._process.max_model_len

    def load(self, checkpoint: Servable) -> None:
        """From now on answers are this checkpoint's.

        Raises CheckpointError where its tokenizer is not that of the one before, of the same configuration, which is
        then still served; or where vLLM gives other log-probs than transformers. Raises WorkerError where vLLM cannot
        be started.
        """
        before = self._serving
        if self._process is None or before is None or before.configuration != checkpoint.configuration:
            self._restart(checkpoint)
            return
        check_same_tokenizer(before.tokenizer, checkpoint.tokenizer)
        if before.shapes != checkpoint.shapes:
            self._restart(checkpoint)
            return
        try:
            list(self._process.tell(Swap(folder=str(checkpoint.folder))))
            self._check(checkpoint)
        except (ProcessDiedError, EngineFailedError, CheckpointError) as error:
            notice(f"vLLM did not take the weights of {checkpoint.folder} in place, so it is started anew: {error}")
            self._restart(checkpoint)
        self._serving = checkpoint

    def generate(self, command: Generate) -> list[Generated]:
        """In the prompts' order. Raises WorkerError."""

        def owed(indices: Sequence[int]) -> Generate:
            prompts = tuple(command.prompts[i] for i in indices)
            return command.model_copy(update={"prompts": prompts, "seeds": tuple(command.seeds[i] for i in indices)})

        return self._ask(owed, len(command.prompts))

    def score(self, command: Score) -> list[Scored]:
        """In the sequences' order. Raises WorkerError."""

        def owed(indices: Sequence[int]) -> Score:
            sequences = tuple(command.sequences[i] for i in indices)
            return Score(sequences=sequences, skips=tuple(command.skips[i] for i in indices))

        return self._ask(owed, len(command.sequences))

    def rank(self, command: Rank) -> list[Ranked]:
        """In the prompts' order. Raises WorkerError."""
        return self._ask(
            lambda indices: Rank(prompts=tuple(command.prompts[i] for i in indices), count=command.count),
            len(command.prompts),
        )

    def close(self) -> None:
        """Ends the process; `load` starts another."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _ask(self, owed: Callable[[Sequence[int]], Generate | Score | Rank], count: int) -> list[Any]:
        """One reply an item. A process that dies is started again, and asked only for what it still owes."""
        assert self._process is not None
        assert self._serving is not None
        found: dict[int, Generated | Scored | Ranked] = {}
        deaths = 0
        while len(found) < count:
            before = len(found)
            missing = [i for i in range(count) if i not in found]
            try:
                for reply in self._process.tell(owed(missing)):
                    found[missing[reply.index]] = reply
            except EngineFailedError as error:
                self.close()
                raise engine_error(str(error)) from error
            except ProcessDiedError as error:
                deaths = 1 if len(found) > before else deaths + 1
                if deaths == _DEATHS:
                    self.close()
                    raise _died(error) from error
                notice(f"the vLLM process died ({error}); it is started again and asked for what it still owes")
                self._restart(self._serving)
        return [found[i] for i in range(count)]

    def _restart(self, checkpoint: Servable) -> None:
        self.close()
        self._serving = None
        self.starts += 1
        try:
            self._process = VllmProcess(self.settings.model_copy(update={"folder": str(checkpoint.folder)}))
            self._check(checkpoint)
        except EngineFailedError as error:
            self.close()
            raise engine_error(str(error)) from error
        except ProcessDiedError as error:
            self.close()
            raise _died(error) from error
        except CheckpointError:
            self.close()
            raise
        self._serving = checkpoint

    def _check(self, checkpoint: Servable) -> None:
        assert self._process is not None
        canary = checkpoint.canary
        command = Score(sequences=(canary.token_ids,), skips=(1,))
        (scored,) = self._process.tell(command)
        assert isinstance(scored, Scored)
        canary.check(scored.logps, self.settings.dtype, checkpoint.folder)


def _died(error: ProcessDiedError) -> WorkerError:
    return WorkerError(
        f"the vLLM process died: {error}. If memory ran out, lower engine.batch_size, engine.max_model_len or "
        "engine.kv_cache_gib. What was finished is kept: run the same command again."
    )
