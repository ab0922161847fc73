"""What the schema knows at a place: its keys, for suggestions, and where pydantic's locations stand in the file."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel

from epa_bench.config.yaml12 import Location


def field_names(model: Any, location: Location) -> list[str]:
    """Names of the fields at `location` (as pydantic's errors give it, union tags included) below a model."""
    return [name for option in _models(_at(model, location)) for name in option.model_fields]


def kinds(model: Any, location: Location) -> list[str]:
    """The tags of the union at `location`."""
    return [tag for option in _models(_at(model, location)) for tag in get_args(option.model_fields["kind"].annotation)]


def file_location(model: Any, location: Location, data: Any) -> Location:
    """Where the file that holds `data` has what pydantic calls `location`.

    Pydantic adds the tag of a union's member, item 0 where one value stands for a list, and `[key]` to a wrong key.
    """
    kept: list[str | int] = []
    for part in location:
        added = _is_union(model) or part == "[key]" or (isinstance(part, int) and not isinstance(data, list))
        model = _below(model, part)
        if not added:
            kept.append(part)
            data = _item(data, part)
    return tuple(kept)


def _at(model: Any, location: Location) -> Any:
    for part in location:
        model = _below(model, part)
    return model


def _below(annotation: Any, part: str | int) -> Any:
    models = _models(annotation)
    if len(models) > 1:
        return next(model for model in models if part in get_args(model.model_fields["kind"].annotation))
    if models:
        field = models[0].model_fields.get(str(part))
        return None if field is None else field.annotation
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _is_union(annotation: Any) -> bool:
    return len(_models(annotation)) > 1


def _item(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold: itself, or the members of a union, through Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (dict, tuple, list):
        return []
    return [model for part in get_args(annotation) for model in _models(part)]
