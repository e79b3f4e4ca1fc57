"""Going on with a study: its stored configuration rules, and only what cannot change its trials may be changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.config import Config
from aebnas_bo.config_loading import parse_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.search.store import TrialStore

CHANGEABLE = frozenset({"search.budget", "search.max_failed_trials", "device"})


def resumed_config(study: Path, given: Config, has_file: bool, options: Sequence[str]) -> Config:
    """Return the stored configuration with the changes that resuming allows.

    Args:
        study: The study's database.
        given: What file and options say.
        has_file: Whether a file was given; without one, only the options say anything.
        options: The `section.key=value` options, which alone may change a changeable setting.

    Raises:
        ConfigError: If anything else differs from the study.
        CorruptStateError: If the study cannot be read.
    """
    with TrialStore.open(study) as store:
        stored = parse_config(store.study.config, str(study))
    differing = differing_settings(stored, given)
    # space.preset unfolds into the whole section
    named = {"space" if o.startswith("space") else o.partition("=")[0].strip() for o in options}
    in_options = {key for key in differing if any(key == name or key.startswith(f"{name}.") for name in named)}
    forbidden = (differing.keys() if has_file else in_options) - CHANGEABLE
    if forbidden:
        raise ConfigError(
            [
                f"{key}: the study has {differing[key][0]!r}, --resume cannot make it {differing[key][1]!r}; "
                "start another run folder"
                for key in sorted(forbidden)
            ]
        )
    changed = in_options & CHANGEABLE
    search = {key.removeprefix("search."): differing[key][1] for key in changed if key.startswith("search.")}
    top = {"device": given.device} if "device" in changed else {}
    return stored.model_copy(update={"search": stored.search.model_copy(update=search), **top})


def differing_settings(stored: Config, given: Config) -> dict[str, tuple[object, object]]:
    """Return the stored and the given value of every setting that differs, by its dotted path."""
    current, wanted = _flat(stored.model_dump(mode="json")), _flat(given.model_dump(mode="json"))
    return {
        key: (current.get(key), wanted.get(key))
        for key in current.keys() | wanted.keys()
        if current.get(key) != wanted.get(key)
    }


def _flat(tree: object, path: str = "") -> dict[str, object]:
    if isinstance(tree, dict):
        children = [(str(key), child) for key, child in tree.items()]
    elif isinstance(tree, list) and any(isinstance(child, dict) for child in tree):
        children = [(str(index), child) for index, child in enumerate(tree)]
    else:
        return {path: tree}
    flat: dict[str, object] = {}
    for key, child in children:
        flat |= _flat(child, f"{path}.{key}" if path else key)
    return flat
