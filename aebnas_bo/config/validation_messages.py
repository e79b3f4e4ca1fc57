"""Messages for invalid settings, which begin with the dotted path and end with the way out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from aebnas_bo.config.effects import all_settings
from aebnas_bo.config.problems import LONGEST_VALUE, cut, printable, shown
from aebnas_bo.config.schema import Config

REPLACED = {"final_training.distillation": "write final_training.teacher: {source: network} or null"}
BOOLEAN_WORDS = {"yes": "true", "on": "true", "true": "true", "1": "true",
                 "no": "false", "off": "false", "false": "false", "0": "false"}  # fmt: skip
SIMILAR = 0.75  # minimum similarity of a suggested name, by `difflib`


def sentences(details: ErrorDetails) -> list[str]:
    """Convert an error of pydantic to sentences, one per problem; empty if other errors cover it.

    Args:
        details: The error.
    """
    if details["type"] == "fields":  # several problems, each with its field
        return [".".join(map(str, (*details["loc"], line))) for line in details["msg"].splitlines()]
    if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
        return []  # follows from invalid entries, which are reported themselves
    return [_sentence(details)]


def closest(name: str, names: Sequence[str]) -> str:
    """Suggest the closest existing name as a question; empty if none is similar.

    Args:
        name: The given name.
        names: The existing names.
    """
    matches = [] if len(name) > LONGEST_VALUE else difflib.get_close_matches(name, names, n=1, cutoff=SIMILAR)
    return f"; did you mean {matches[0]}?" if matches else ""


def _sentence(details: ErrorDetails) -> str:
    location, value, kind = details["loc"], details["input"], details["type"]
    message = details["msg"].removeprefix("Value error, ")
    match kind:
        case "extra_forbidden":
            words = f"no such setting{_meant(location)}"
        case "missing":
            words = "is missing"
        case "finite_number":
            words = f"must be a finite number, got {value}"
        case "too_short" if isinstance(value, list):
            words = f"must have at least {details['ctx']['min_length']} entries, got {len(value)}"
        case "model_type":
            words = f"must be a section, got {shown(value)}{_settings_in(location)}"
        case "tuple_type":
            words = f"must be a list, got {shown(value)}"
        case "value_error" if isinstance(value, dict | list):
            words = message
        case "not_shown":  # the value may hold a password
            words = message
        case _:
            words = f"{message[0].lower()}{message[1:]}, got {shown(value)}{_advice(value, kind)}"
    return f"{'.'.join(cut(printable(str(part))) for part in location) or 'configuration'}: {words}"


def _settings_in(location: tuple[int | str, ...]) -> str:
    names = _siblings(location)
    return f"; its settings are {', '.join(names)}" if names else ""


def _meant(location: tuple[int | str, ...]) -> str:
    """Suggest a setting for an unknown one: one of another section, or one with a similar name."""
    path, name = ".".join(map(str, location)), str(location[-1])
    if path in REPLACED:
        return f"; {REPLACED[path]}"
    if elsewhere := _settings_named(name):
        return f"; did you mean {' or '.join(elsewhere)}?"
    return closest(name, _siblings(location[:-1])) or _settings_in(location[:-1])


def _settings_named(name: str) -> list[str]:
    """Return the settings of this name in the sections of the configuration."""
    found = [path for path, _ in all_settings() if path.rpartition(".")[2] == name]
    highest = min((path.count(".") for path in found), default=0)
    return [path for path in found if path.count(".") == highest]


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """Return the existing settings next to an unknown one."""
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        nested = [] if field is None else _models_in(field.annotation)
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _advice(value: object, kind: str) -> str:
    """Return how to write a value that YAML parsed as another type; empty if there is no way."""
    if kind in {"int_type", "int_from_float", "float_type"} and (number := _number(value, kind)) is not None:
        return f" (write {number}, without quotes)" if isinstance(value, str) else f" (write {number})"
    if kind == "bool_type" and not isinstance(value, bool) and str(value).lower() in BOOLEAN_WORDS:
        return f" (write {BOOLEAN_WORDS[str(value).lower()]}{', without quotes' if isinstance(value, str) else ''})"
    if kind == "string_type" and isinstance(value, bool):
        return " (YAML reads yes, no, on and off as true or false: put quotes around it)"
    if kind == "string_type" and isinstance(value, int | float):
        return " (YAML reads it as a number: put quotes around it)"
    return ""


def _number(value: object, kind: str) -> str | None:
    """Return the number that a text or a float without decimals represents, in YAML syntax."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    if kind == "float_type":
        return repr(number)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else None
