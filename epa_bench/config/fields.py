"""Which keys the schema knows at a place, so that a mistyped one can be answered with the right one."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel

from epa_bench.config.yaml12 import Location


def field_names(model: Any, location: Location) -> list[str]:
    """Names of the fields at `location` (as pydantic's errors give it, union tags included) below a model."""
    for part in location:
        model = _below(model, part)
    return [name for option in _models(model) for name in option.model_fields]


def _below(annotation: Any, part: str | int) -> Any:
    for model in _models(annotation):
        if part in model.model_fields:
            return model.model_fields[str(part)].annotation
        kind = model.model_fields.get("kind")
        if kind is not None and part in get_args(kind.annotation):
            return model
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold: itself, or the members of a union, through Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (dict, tuple, list):
        return []
    return [model for part in get_args(annotation) for model in _models(part)]
