"""One vLLM engine for many checkpoints: weights are swapped, or adapters attached to them, where that is safe, else
the process is started anew.

A swap is guarded on both sides. Before it, configuration, tokenizer and the headers of the weights are compared: vLLM
only warns of a missing tensor and goes on with a mix of two checkpoints, and a tensor of another shape leaves it broken
for good. After it, and after every start, the engine must give a fixed probe the log-probs that transformers gave it.
With an adapter they must also be others than without: adapters that vLLM leaves out are no error of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from epa_bench.core.errors import CheckpointError, WorkerError
from epa_bench.core.lines import ProcessDiedError
from epa_bench.core.notices import notice
from epa_bench.engines.servable import Servable, room_for
from epa_bench.engines.vllm_process import EngineFailedError, VllmProcess, advice_on, engine_error
from epa_bench.engines.vllm_wire import (
    Attach,
    Generate,
    Generated,
    LoraRoom,
    Rank,
    Ranked,
    Score,
    Scored,
    Settings,
    Start,
    Swap,
)
from epa_bench.models.adapter_files import Adapter
from epa_bench.models.canary import Canary
from epa_bench.models.tokenizers import check_same_tokenizer

_DEATHS = 2
"""So often in a row may the process die without finishing anything before that is an error."""


class AdapterRefusedError(Exception):
    """vLLM does not serve an adapter as transformers has it; its text says why. Merged into its base it may."""


class VllmServer:
    """Serves one checkpoint at a time with `settings`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: VllmProcess | None = None
        self._serving: Servable | None = None
        """What answers."""

        self._held: Servable | None = None
        """What the process holds, or the like: configuration, tokenizer and shapes."""

        self._room: LoraRoom | None = None
        """For adapters, in every process of a model from its first adapter on; it only grows."""

        self._roomless: list[Mapping[str, Any]] = []
        """Configurations of models with which vLLM does not start where it makes room for adapters."""

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
        then still served; for an adapter of too high a rank, likewise; or where vLLM gives other log-probs than
        transformers. Raises AdapterRefusedError where it does so of an adapter or does not take it, and WorkerError
        where it cannot be started.
        """
        before = self._held
        alike = before is not None and before.configuration == checkpoint.configuration
        room = self._room if alike else None
        if checkpoint.adapter is not None:
            if checkpoint.configuration in self._roomless:
                raise AdapterRefusedError("vLLM did not start with room for adapters of this model")
            room = room_for(checkpoint.adapter, room)
        if self._process is None or before is None or not alike:
            self._restart(checkpoint, room)
            return
        check_same_tokenizer(before.tokenizer, checkpoint.tokenizer)
        if before.shapes != checkpoint.shapes or room != self._room:
            self._restart(checkpoint, room)
            return
        self._serving = None
        try:
            list(self._process.tell(Swap(folder=str(checkpoint.folder))))
            self._check(checkpoint)
        except (ProcessDiedError, EngineFailedError, CheckpointError) as error:
            notice(f"vLLM did not take the weights of {checkpoint.name} in place, so it is started anew: {error}")
            self._restart(checkpoint, room)
        self._held = self._serving = checkpoint

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
                self._again(self._serving)
        return [found[i] for i in range(count)]

    def _again(self, checkpoint: Servable) -> None:
        """In a new process what the dead one served. Raises WorkerError, of an adapter too: it was served before."""
        try:
            self._restart(checkpoint, self._room)
        except AdapterRefusedError as error:
            self.close()
            raise engine_error(str(error)) from error

    def _restart(self, checkpoint: Servable, room: LoraRoom | None) -> None:
        self.close()
        self._serving = None
        try:
            self._start(checkpoint, room)
            self._check(checkpoint)
        except ProcessDiedError as error:
            self.close()
            raise _died(error) from error
        except EngineFailedError as error:
            self.close()
            raise engine_error(str(error)) from error
        except CheckpointError:
            self.close()
            raise
        self._serving = checkpoint

    def _start(self, checkpoint: Servable, room: LoraRoom | None) -> None:
        self.starts += 1
        start = Start(
            **self.settings.model_dump(),
            folder=str(checkpoint.folder),
            tokenizer=str(checkpoint.tokenizer_folder),
            lora=room,
        )
        try:
            self._process = VllmProcess(start)
        except EngineFailedError as error:
            before = self._held
            had_room = before is not None and before.configuration == checkpoint.configuration and room == self._room
            # Memory that does not suffice now says nothing of adapters.
            if checkpoint.adapter is None or had_room or advice_on(str(error)):
                raise
            self._roomless.append(checkpoint.configuration)
            raise AdapterRefusedError(str(error)) from error
        self._room, self._held = room, checkpoint

    def _check(self, checkpoint: Servable) -> None:
        """Of a process that holds the weights and no adapter."""
        canary, dtype = checkpoint.canary, self.settings.dtype
        found = self._probe(canary)
        if checkpoint.adapter is None:
            canary.check(found, dtype, checkpoint.folder)
            return
        try:
            self._attach(checkpoint.adapter, canary, found)
        except (EngineFailedError, CheckpointError) as error:
            raise AdapterRefusedError(str(error)) from error

    def _attach(self, adapter: Adapter, canary: Canary, without: tuple[float, ...]) -> None:
        assert self._process is not None
        list(self._process.tell(Attach(folder=str(adapter.folder))))
        found = self._probe(canary)
        canary.check_attached(without, found, self.settings.dtype, adapter.folder)
        canary.check(found, self.settings.dtype, adapter.folder)

    def _probe(self, canary: Canary) -> tuple[float, ...]:
        assert self._process is not None
        (scored,) = self._process.tell(Score(sequences=(canary.token_ids,), skips=(1,)))
        assert isinstance(scored, Scored)
        return scored.logps


def _died(error: ProcessDiedError) -> WorkerError:
    return WorkerError(
        f"the vLLM process died: {error}. If memory ran out, lower engine.batch_size, engine.max_model_len or "
        "engine.kv_cache_gib. What was finished is kept: run the same command again."
    )
