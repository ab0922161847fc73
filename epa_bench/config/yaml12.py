"""YAML 1.2 (5e-7 is a number, `no` is text) as plain data, with the line of every key."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter

from epa_bench.config.scalars import NotPlainError, needs_quotes, parse_scalar
from epa_bench.core.errors import ConfigError

_MAX_DEPTH = 50
_MAX_NODES = 100_000
"""Far above any sweep, far below what a file of nested aliases could grow to."""

_TOO_MUCH = "nested too deeply or too large (aliases that multiply?)"

Location = tuple[str | int, ...]
"""Keys and indices from the root of the document."""


@dataclass(frozen=True)
class Document:
    """A parsed file: plain dicts, lists and scalars that JSON can hold, and where each stood."""

    name: str
    data: dict[str, Any]
    lines: dict[Location, int]

    def where(self, location: Location) -> str:
        """`file:line` of the nearest thing at or above `location` that stands in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        line = self.lines.get(location)
        return f"{self.name}:{line}" if line else self.name


def load_document(text: str, name: str) -> Document:
    """Parses one mapping. Raises ConfigError with file and line for what is not YAML or not plain data."""
    reader = _Reader(text, lambda line: f"{name}:{line}")
    data = reader.read()
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: expected keys and values at the top level, e.g. `name: demo`")
    return Document(name, data, reader.lines)


def read_document(path: Path) -> Document:
    """Reads and parses a file. Raises ConfigError where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return load_document(text, str(path))


def parse_value(text: str, name: str) -> Any:
    """The plain value of one YAML expression, as in `--set key=value`. Raises ConfigError."""
    return _Reader(text, lambda _: name).read()


class _Reader:
    """Plain data from the parser's events.

    Not from a YAML library's constructor: those know YAML 1.1's merge keys, dates and `1_000`, and recurse without
    bound. An alias is read again at its place, so depth and size count what it stands for.
    """

    def __init__(self, text: str, where: Callable[[int], str]) -> None:
        self.lines: dict[Location, int] = {}
        self._text = text
        self._where = where
        self._events: list[Event] = []
        self._anchors: dict[str, int] = {}
        self._nodes = 0

    def read(self) -> Any:
        """The document's value; None where it is empty."""
        try:
            self._parse()
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._error(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}") from error
        except ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise self._error(line, f"not valid YAML: {error.reason}") from error
        # Stream start, document start, the value, document end, stream end.
        if len(self._events) < 5:
            return None
        value, index = self._value(2, (), 1)
        if not isinstance(self._events[index + 1], StreamEndEvent):
            raise self._error(_line(self._events[index + 1]), "a second document starts here; write one a file")
        return value

    def _parse(self) -> None:
        depth = 0
        for event in YAML(typ="safe", pure=True).parse(self._text):
            self._events.append(event)
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            # Here too, as the library takes a time that grows with the square of the depth.
            if depth > _MAX_DEPTH:
                raise self._error(_line(event), _TOO_MUCH)

    def _error(self, line: int, what: str) -> ConfigError:
        return ConfigError(f"{self._where(line)}: {what}")

    def _value(self, index: int, location: Location, line: int) -> tuple[Any, int]:
        """The value that starts at event `index`, and the index of the event behind it."""
        self.lines[location] = line
        self._nodes += 1
        if len(location) > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise self._error(line, _TOO_MUCH)
        event = self._events[index]
        if isinstance(event, AliasEvent):
            return self._value(self._anchored(event), location, line)[0], index + 1
        assert isinstance(event, ScalarEvent | CollectionStartEvent)
        self._refuse_tag(event)
        value: Any
        if isinstance(event, ScalarEvent):
            value, end = self._scalar(event), index + 1
        elif isinstance(event, MappingStartEvent):
            value, end = self._mapping(index + 1, location)
        else:
            value, end = self._sequence(index + 1, location)
        # Known only from here on, so that nothing can hold itself.
        if event.anchor is not None and self._anchors.setdefault(event.anchor, index) != index:
            raise self._error(_line(event), f"the anchor &{event.anchor} is there already; choose another name")
        return value, end

    def _anchored(self, alias: AliasEvent) -> int:
        if alias.anchor not in self._anchors:
            raise self._error(_line(alias), f"the alias *{alias.anchor} names no anchor that is complete before it")
        return self._anchors[alias.anchor]

    def _refuse_tag(self, event: ScalarEvent | CollectionStartEvent) -> None:
        if event.tag is not None:
            raise self._error(_line(event), f"only plain values are read; remove the tag {event.tag}")

    def _mapping(self, index: int, location: Location) -> tuple[dict[str, Any], int]:
        mapping: dict[str, Any] = {}
        while not isinstance(self._events[index], MappingEndEvent):
            line = _line(self._events[index])
            key = self._key(self._events[index])
            if key in mapping:
                raise self._error(line, f"the key `{key}` is there already, on line {self.lines[*location, key]}")
            mapping[key], index = self._value(index + 1, (*location, key), line)
        return mapping, index + 1

    def _key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent):
            raise self._error(_line(event), "keys are text, not lists, mappings or aliases")
        self._refuse_tag(event)
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self._error(_line(event), f'keys are text; write "{event.value}" in quotes')
        return key

    def _sequence(self, index: int, location: Location) -> tuple[list[Any], int]:
        items: list[Any] = []
        while not isinstance(self._events[index], SequenceEndEvent):
            item, index = self._value(index, (*location, len(items)), _line(self._events[index]))
            items.append(item)
        return items, index + 1

    def _scalar(self, event: ScalarEvent) -> Any:
        text = event.value
        try:
            text.encode()
            return parse_scalar(text) if event.implicit[0] else text
        except UnicodeEncodeError:
            raise self._error(_line(event), "not text: it holds half of a surrogate pair") from None
        except NotPlainError as error:
            raise self._error(_line(event), f"{text[:40]}: {error}; quote it if it is text") from None


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


class _Representer(SafeRepresenter):
    """Quotes by the reader's rules; the library's differ (`.5e3`, U+2028)."""

    def represent_text(self, text: str) -> ScalarNode:
        style = '"' if needs_quotes(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Representer.add_representer(str, _Representer.represent_text)


def dump_yaml(data: dict[str, Any]) -> str:
    """The mapping as YAML 1.2 text, keys in their order."""
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 2**20  # no line is folded
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared None, documented as a switch
    yaml.dump(data, stream)
    return stream.getvalue()
