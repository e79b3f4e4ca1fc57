"""What each setting changes, read from where it is declared (`Section.affects` and `Affects`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import get_args

from pydantic.fields import FieldInfo

from aebnas_bo.config.problems import config_error, cut
from aebnas_bo.config.schema import Config
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

SEARCH_KEEPS: frozenset[Effect] = frozenset({"trainings", "statistics", "nothing"})
"""Effects of settings that no trial of a search depends on."""
BY_OPTION: frozenset[Effect] = frozenset({"budget", "machine"})
"""Effects of settings that leave finished trials as they are; on resuming only an option changes them."""
AFTER_SEARCH: frozenset[Effect] = frozenset({"trainings", "machine", "nothing"})
"""Effects of settings that a training after the search may change."""
STATISTICS_ONLY: frozenset[Effect] = frozenset({"statistics", "machine", "nothing"})
"""Effects of settings that a rank correlation study may change once its networks are drawn."""


def effect_of(path: str) -> Effect:
    """Return the first result that a setting changes.

    Args:
        path: Dotted path such as `final_training.teacher.macs`; what lies below a section's lists counts as the list.

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
    """Return those settings of a section, as JSON values, that have one of these effects.

    Args:
        section: A section of the whole configuration, such as `config.supernet`.
        effects: The effects.
    """
    default = section.affects or Config.affects
    names = {name for name, field in type(section).model_fields.items() if _field_effect(field, default) in effects}
    return section.model_dump(mode="json", include=names)


def check_after_search(options: Sequence[str]) -> None:
    """See that options change only what a finished search does not depend on.

    Args:
        options: `section.key=value` strings.

    Raises:
        ConfigError: If another setting is named.
    """
    refused = [one for one in options if (effect := _effect_of_option(one)) is not None and effect not in AFTER_SEARCH]
    if refused:
        sections = ("final_training", "shortlist", "fidelity")  # named whole, or no part of a training
        others = [path for path in settings_with(AFTER_SEARCH) if not path.startswith(sections)]
        allowed = f"final_training.*, shortlist.*, {', '.join(others)}"
        raise config_error([f"--set {cut(one)}: the study is made; what can change is {allowed}" for one in refused])


def _effect_of_option(option: str) -> Effect | None:
    """Return the effect of the setting or section that an option names, `None` if there is no such setting."""
    path = option.partition("=")[0].strip()
    try:
        return effect_of(path)
    except KeyError:
        return None  # the message about an unknown setting names the closest one


def settings_of(path: str) -> dict[str, Effect]:
    """Return the effects of a section's own settings by name; sections within it, which have their own, are left out.

    Args:
        path: Dotted path of the section, empty for the whole configuration.
    """
    prefix = f"{path}." if path else ""
    return {
        name.removeprefix(prefix): effect
        for name, effect in all_settings()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }


def all_settings() -> Iterator[tuple[str, Effect]]:
    """Yield dotted path and effect of every setting; the space, a tree of its own, counts as one."""
    yield from _settings(Config, "", Config.affects)


def nested_section(field: FieldInfo) -> type[Section] | None:
    """Return the section that a field holds, `None` for a plain setting."""
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
