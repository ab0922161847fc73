"""Controls (`control_of`, `control`) written out as the methods they stand for. `schema.Control` says what each is."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from epa_bench.config.recipes import NLL, defaults_of, objection_to, settings_of
from epa_bench.config.schema import Control, Method
from epa_bench.config.yaml12 import Location

_Found = tuple[Location, str]


class FilledIn:
    """A raw sweep, of any shape, in which every control has what it does not give and what it changes.

    A control stays as it is where it, or the method it names, is wrong.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

        self.problems: list[_Found] = []
        """No such method, a control of a control or of itself, a key that contradicts the control, a control that would
        be the method itself or have no negatives. What is of a wrong type is left to the schema."""

        self.open_losses: set[Location] = set()
        """Losses of controls that stay as they are; not to be missed as well."""

        self._copied_from: dict[Location, Location] = {}
        given = data.get("methods")
        if isinstance(given, dict):
            methods = {name: self._fill_in(name, given) if _is_control(given[name]) else given[name] for name in given}
            self.data = {**data, "methods": methods}

    def told_once(self, found: Iterable[_Found]) -> Iterator[_Found]:
        """Without what is wrong with a copied key and is told of the key it was copied from."""
        found = list(found)
        told = {location[:3] for location, _ in found}
        return (problem for problem in found if self._copied_from.get(problem[0][:3]) not in told)

    def _fill_in(self, name: str, methods: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = methods[name]
        problem = _misplaced(name, methods)
        method = _controlled(given, methods) if problem is None else None
        if method is not None:
            problem = _objection(name, given, method)
        if problem is not None:
            self.problems.append(problem)
        if problem is not None or method is None:
            self.open_losses.add(("methods", name, "loss"))
            return given
        return self._merge(name, given, method)

    def _merge(self, name: str, given: dict[str, Any], method: Method) -> dict[str, Any]:
        of: str = given["control_of"]
        control: Control = given["control"]
        copied, settings = method.model_dump(mode="json"), settings_of(control, method)
        against = [key for key in settings if key in given and _listed(given[key]) != _listed(settings[key])]
        self.problems += [
            (
                ("methods", name, key),
                f"`methods.{name}.{key}`: the control {control} of `{of}` sets it to {_show(settings[key])}, got "
                f"{_show(given[key])}; leave it out",
            )
            for key in against
        ]
        own = {key: value for key, value in given.items() if key not in against}
        merged = {**copied, **defaults_of(control, method), **settings, **own}
        for key in copied:
            if key not in given and merged[key] == copied[key]:
                self._copied_from["methods", name, key] = ("methods", of, key)
        return merged


def _is_control(method: Any) -> bool:
    return isinstance(method, dict) and any(method.get(key) is not None for key in ("control_of", "control"))


def _misplaced(name: str, methods: Mapping[str, Any]) -> _Found | None:
    """What is wrong with whom it controls."""
    of = methods[name].get("control_of")
    where, key = ("methods", name, "control_of"), f"`methods.{name}.control_of`"
    if of is None or methods[name].get("control") is None:
        return ("methods", name), f"`methods.{name}`: a control needs both control_of, a method's name, and control"
    if of == name:
        return where, f"{key}: a method is no control of itself; name another one"
    if not isinstance(of, str) or of not in methods:
        others = [other for other in methods if other != name]
        close = difflib.get_close_matches(str(of), others, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"choose one of {', '.join(others) or 'none'}"
        return where, f"{key}: no method is called {_show(of)}; {hint}"
    if _is_control(methods[of]):
        return where, f"{key}: `{of}` is a control itself; name the method that it controls"
    return None


def _objection(name: str, given: Mapping[str, Any], method: Method) -> _Found | None:
    of, control = given["control_of"], given["control"]
    objection = objection_to(control, method)
    if objection is not None:
        return ("methods", name, "control"), f"`methods.{name}.control`: {control} of `{of}`: {objection}"
    if control == "nll" and 0 in _listed(given.get("nll")):
        return (
            ("methods", name, "nll"),
            f"`methods.{name}.nll`: the control nll adds this term, expected a weight above 0, got "
            f"{_show(given['nll'])}; raise it, or leave it out for {NLL}",
        )
    return None


def _controlled(given: Mapping[str, Any], methods: Mapping[str, Any]) -> Method | None:
    """The method it names; None where that one or the control's name is wrong, which the schema tells."""
    if given["control"] not in get_args(Control):
        return None
    try:
        return Method.model_validate_json(json.dumps(methods[given["control_of"]]))
    except ValidationError:
        return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _show(value: Any) -> str:
    """One value plain, several as a list."""
    return json.dumps(value[0] if isinstance(value, list) and len(value) == 1 else value, ensure_ascii=False)
