"""The reference page of all settings, written from their declarations: `python -m aebnas_bo.config.reference`."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import BaseModel

from aebnas_bo.config.effects import nested_section, settings_of
from aebnas_bo.config.schema import Config
from aebnas_bo.storage.frozen_model import Effect, Section

Schema = Mapping[str, object]

HEAD = """# All settings

Written by `python -m aebnas_bo.config.reference > docs/settings.md` from the declarations; change those. The space is a
declaration of its own ([space/declaration.py](../aebnas_bo/space/declaration.py), `aebnas-bo space FILE`).

`changes` names the first result that another value changes. All that follows from that result changes with it:

"""
MEANINGS: dict[Effect, str] = {
    "images": "the images and their splits, and with them everything",
    "supernet": "the supernet's weights; estimates and trials with them",
    "estimates": "what networks are estimated at; trials with it",
    "trials": "which networks a search tries",
    "budget": "only how many it tries. `--resume` accepts it as an option",
    "trainings": "networks trained alone, the short list included, but no trial. `--resume` and `train` accept it",
    "statistics": "how a rank correlation study is summed up. `--resume` accepts it",
    "machine": "where and how fast things are computed, and with that the rounding of numbers. `--resume` and `train` "
    "accept it as an option",
    "nothing": "no number. Every command accepts it",
}
ENTRY = re.compile(r"^(\w+): (.*)$")


def settings_page() -> str:
    """Return the page, Markdown."""
    effects = "\n".join(f"* `{effect}`: {meaning}." for effect, meaning in MEANINGS.items())
    tables = "\n".join(_section_text(name, section) for name, section in _sections(Config, ""))
    return f"{HEAD}{effects}\n\n{tables}"


def meanings_of(section: type[Section]) -> dict[str, str]:
    """Return what the docstrings of a section and its bases say of each setting."""
    found: dict[str, str] = {}
    for one in reversed(section.__mro__):
        name = ""
        lines = (inspect.getdoc(one) or "").partition("Args:\n")[2].splitlines() if issubclass(one, Section) else []
        for line in (line.strip() for line in lines):
            entry = ENTRY.match(line)
            if entry and entry[1] in section.model_fields:
                name, found[entry[1]] = entry[1], entry[2]
            elif name and line:
                found[name] += f" {line}"
    return found


def _sections(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    yield path, section
    for name, field in section.model_fields.items():
        nested = nested_section(field)
        if nested is not None:
            yield from _sections(nested, f"{path}.{name}".lstrip("."))


def _section_text(path: str, section: type[Section]) -> str:
    schemas = cast("dict[str, Schema]", section.model_json_schema().get("properties", {}))
    meanings, effects = meanings_of(section), settings_of(path)
    rows = [
        f"| `{name}` | {_values(schemas[name])} | {_default(section, name)} | {effects[name]} | {meanings[name]} |"
        for name in section.model_fields
        if name in effects
    ]
    title = f"`{path}`" if path else "Top level"
    summary = (inspect.getdoc(section) or "").partition("\n")[0]
    head = "| setting | values | default | changes | meaning |\n|---|---|---|---|---|"
    return "\n".join([f"## {title}", "", summary, "", head, *rows, ""])


def _default(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    if field.is_required():
        return "required"
    default = field.default.model_dump(mode="json") if isinstance(field.default, BaseModel) else field.default
    return f"`{json.dumps(default)}`"


def _values(schema: Schema) -> str:
    """Return in words what a JSON schema accepts."""
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in cast("list[Schema]", schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in cast("list[object]", schema["enum"]))
    if "$ref" in schema:
        return "a section"
    if schema.get("type") == "array":
        return "a list"
    names = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "string": "text"}
    kind = names.get(str(schema.get("type")), "null")
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if isinstance(schema.get(key), int | float)
    ]
    return f"{kind} {', '.join(bounds)}".strip()


if __name__ == "__main__":
    sys.stdout.write(settings_page())
