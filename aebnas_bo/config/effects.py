"""Effects of settings on results, read from their declarations (`Section.affects` and `Affects`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import get_args

from pydantic.fields import FieldInfo

from aebnas_bo.config.problems import config_error, cut
from aebnas_bo.config.schema import Config
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

SEARCH_KEEPS: frozenset[Effect] = frozenset({"trainings", "figures", "statistics", "nothing"})
"""Effects of settings that do not influence the trials of a search."""
BY_OPTION: frozenset[Effect] = frozenset({"budget", "machine"})
"""Effects of settings that do not influence finished trials; on resuming, only an option can change them."""
AFTER_SEARCH: frozenset[Effect] = frozenset({"trainings", "figures", "machine", "nothing"})
"""Effects of settings that a training after the search may change."""
STATISTICS_ONLY: frozenset[Effect] = frozenset({"figures", "statistics", "machine", "nothing"})
"""Effects of settings that a rank correlation study may change once its networks are drawn."""


def effect_of(path: str) -> Effect:
    """Return the effect of a setting: the first result that it changes.

    Args:
        path: Dotted path such as `final_training.teacher.macs`; entries of a list have the effect of the list.

    Raises:
        KeyError: If there is no such setting.
    """
    section: type[Section] | None = Config
    effect: Effect = Config.affects
    for name in path.split("."):
        if section is None:
            break
        field = section.model_fields[name]
        effect, section = _field_effect(field, effect), nested_section(field)
    return effect


def settings_with(effects: Collection[Effect]) -> list[str]:
    """Return the dotted paths of all settings with one of these effects, in the order of the configuration."""
    return [path for path, effect in all_settings() if effect in effects]


def values_with(section: Section, effects: Collection[Effect]) -> dict[str, object]:
    """Return the settings of a section that have one of these effects, as JSON values.

    Args:
        section: A section of the whole configuration, such as `config.supernet`.
        effects: The effects.
    """
    default = section.affects or Config.affects
    names = {name for name, field in type(section).model_fields.items() if _field_effect(field, default) in effects}
    return section.model_dump(mode="json", include=names)


def check_after_search(options: Sequence[str]) -> None:
    """Check that options change only settings that a finished search does not depend on.

    Args:
        options: `section.key=value` strings.

    Raises:
        ConfigError: If another setting is named.
    """
    refused = [one for one in options if (effect := _effect_of_option(one)) is not None and effect not in AFTER_SEARCH]
    if refused:
        sections = ("final_training", "shortlist", "fidelity")  # listed as a whole, or not part of a training
        others = [path for path in settings_with(AFTER_SEARCH) if not path.startswith(sections)]
        allowed = f"final_training.*, shortlist.*, {', '.join(others)}"
        raise config_error(
            [f"--set {cut(one)}: fixed by the study; settings that can change: {allowed}" for one in refused]
        )


def _effect_of_option(option: str) -> Effect | None:
    """Return the effect of the setting or section that an option names, or `None` if it is unknown."""
    path = option.partition("=")[0].strip()
    try:
        return effect_of(path)
    except KeyError:
        return None  # the error for an unknown setting suggests the closest one


def settings_of(path: str) -> dict[str, Effect]:
    """Return the effects of a section's settings by name, without those of nested sections.

    Args:
        path: Dotted path of the section, empty for the whole configuration.
    """
    prefix = f"{path}." if path else ""
    return {
        name.removeprefix(prefix): effect
        for name, effect in all_settings()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }


@cache
def all_settings() -> tuple[tuple[str, Effect], ...]:
    """Return dotted path and effect of every setting; the space counts as one setting."""
    return tuple(_settings(Config, "", Config.affects))


def nested_section(field: FieldInfo) -> type[Section] | None:
    """Return the section that a field holds, or `None` for a plain setting."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, Section)), None)


def _settings(section: type[Section], prefix: str, effect: Effect) -> Iterator[tuple[str, Effect]]:
    for name, field in section.model_fields.items():
        own, nested = _field_effect(field, effect), nested_section(field)
        if nested is None:
            yield f"{prefix}{name}", own
        else:
            yield from _settings(nested, f"{prefix}{name}.", own)


def _field_effect(field: FieldInfo, outer: Effect) -> Effect:
    marks = [mark.effect for mark in field.metadata if isinstance(mark, Affects)]
    nested = nested_section(field)
    return marks[0] if marks else (nested.affects if nested is not None and nested.affects else outer)
