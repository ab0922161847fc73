"""From a YAML file and `--set` overrides to a typed sweep, or to one error that lists every problem."""

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from epa_bench.config.fields import field_names
from epa_bench.config.schema import Sweep
from epa_bench.config.yaml12 import Document, Location, dump_yaml, parse_value
from epa_bench.core.errors import ConfigError, Problem, list_problems

Check = Callable[[dict[str, Any]], Iterable[tuple[Location, str]]]
"""Looks at the raw sweep and names what is wrong and where. It must stand any shape: types are checked beside it."""

_EXPECTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class LoadedSweep:
    """A checked sweep and where each of its keys came from."""

    config: Sweep
    document: Document

    def resolved_yaml(self) -> str:
        """The sweep with every default written out; loading it gives the same sweep."""
        return dump_yaml(self.config.model_dump(mode="json", exclude_none=True))


def load_sweep(document: Document, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> LoadedSweep:
    """Applies `a.b=c` overrides, validates types and values, runs the checks.

    Raises ConfigError that lists all problems, each with file and line (or the override it came from).
    """
    document = _overridden(document, overrides)
    problems = [
        Problem(document.where(location), message) for check in checks for location, message in check(document.data)
    ]
    try:
        # Through JSON: pydantic's strict mode then takes lists for tuples and 1 for 1.0, but never `true` for a number.
        config = Sweep.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        problems = [_problem(document, detail) for detail in error.errors()] + problems
        raise ConfigError(list_problems(problems, document.name)) from None
    if problems:
        raise ConfigError(list_problems(problems, document.name))
    return LoadedSweep(config, document)


def _overridden(document: Document, overrides: Sequence[str]) -> Document:
    data = deepcopy(document.data)
    lines = dict(document.lines)
    origins: dict[Location, str] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        keys = tuple(key.strip().split("."))
        if not equals or not all(keys):
            raise ConfigError(f"--set {override}: expected KEY=VALUE, e.g. --set training.num_train_epochs=2")
        _assign(data, keys, parse_value(value, f"--set {override}"), override)
        origins[keys] = f"--set {override}"
        for location in [location for location in lines if location[: len(keys)] == keys]:
            del lines[location]
    return _OverriddenDocument(document.name, data, lines, origins) if origins else replace(document, data=data)


@dataclass(frozen=True)
class _OverriddenDocument(Document):
    origins: dict[Location, str]

    def where(self, location: Location) -> str:
        for length in range(len(location), 0, -1):
            if location[:length] in self.origins:
                return self.origins[location[:length]]
            if location[:length] in self.lines:
                break
        return super().where(location)


def _assign(data: dict[str, Any], keys: tuple[str, ...], value: Any, override: str) -> None:
    for i, key in enumerate(keys[:-1]):
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override}: {'.'.join(keys[: i + 1])} has no keys below it")
    data[keys[-1]] = value


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    # Tags of unions (`scratch`, `embedded`) stand in pydantic's location but not in the file.
    location = _without_tags(document.data, detail["loc"])
    key = ".".join(str(part) for part in location) or "the file"
    kind, came = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return Problem(document.where(location), f"unknown key `{key}`{_suggestion(detail['loc'], location)}")
    if kind == "missing":
        return Problem(document.where(location), f"`{key}` is required; add it, or pass --set {key}=VALUE")
    if kind == "union_tag_not_found":
        return Problem(document.where(location), f"`{key}` needs a `kind`: {detail['ctx']['discriminator']} is missing")
    expected = _EXPECTED.get(kind)
    message = f"expected {expected}" if expected else detail["msg"][:1].lower() + detail["msg"][1:]
    return Problem(document.where(location), f"`{key}`: {message}, got {_show(came)}")


def _without_tags(data: Any, location: Location) -> Location:
    kept: list[str | int] = []
    for i, part in enumerate(location):
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]
        elif isinstance(data, dict) and i < len(location) - 1:
            continue
        elif not isinstance(data, dict):
            # A scalar where pydantic names item 0 of the tuple made from it.
            continue
        kept.append(part)
    return tuple(kept)


def _suggestion(pydantic_location: Location, location: Location) -> str:
    known = field_names(Sweep, pydantic_location[:-1])
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known here: {', '.join(sorted(known))}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
