"""Going on with a study: its stored configuration rules, and only what cannot change its trials may be changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from aebnas_bo.config.loading import load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder

BY_OPTION = frozenset({"search.budget", "search.max_failed_trials", "device"})
# On trials; that images are the same is checked by hash.
WITHOUT_EFFECT = ("data.root", "final_training.", "shortlist.", "fidelity.")


def resumed_config(study: Path, given: Config, *, has_file: bool, options: Sequence[str]) -> Config:
    """Return the stored configuration with the changes that resuming allows.

    Args:
        study: The study's database.
        given: What file and options say.
        has_file: Whether a file was given; without one, only the options say anything.
        options: The `section.key=value` options, which alone may change budget, failures and device.

    Raises:
        ConfigError: If anything else differs from the study that could change its trials.
        CorruptStateError: If the study cannot be read.
    """
    with TrialStore.open_read_only(study) as store:
        stored = parse_config(store.study.config, str(study))
    differing = differing_settings(stored, given)
    # space.preset unfolds into the whole section
    named = {"space" if o.startswith("space") else o.partition("=")[0].strip() for o in options}
    in_options = {key for key in differing if any(key == name or key.startswith(f"{name}.") for name in named)}
    said = differing.keys() if has_file else in_options
    forbidden = {key for key in said if key not in BY_OPTION and not key.startswith(WITHOUT_EFFECT)}
    if forbidden:
        raise ConfigError(
            [
                f"{key}: the study has {_as_written(differing[key][0])}, --resume cannot make it "
                f"{_as_written(differing[key][1])}; start another run folder"
                for key in sorted(forbidden)
            ]
        )
    changed = (in_options & BY_OPTION) | {key for key in said if key.startswith(WITHOUT_EFFECT)}
    top = {"device": given.device} if "device" in changed else {}
    sections = {key.partition(".")[0] for key in changed if "." in key}
    return stored.model_copy(
        update={**top, **{name: _changed(stored, given, name, changed=changed) for name in sections}}
    )


def given_config(folder: RunFolder, path: Path | None, options: Sequence[str]) -> Config:
    """Return what file and options say about a study that may exist.

    Without a file, options are applied to the configuration of the study, so that they are checked against it. Options
    of the space are applied to the default configuration: presets are no part of a stored one.

    Args:
        folder: The run folder.
        path: YAML file; `None` for none.
        options: `section.key=value` strings.

    Raises:
        ConfigError: If a setting is wrong.
        CorruptStateError: If the study cannot be read.
    """
    if path is not None or not folder.holds_study or any(one.strip().startswith("space") for one in options):
        return load_config(path, options)
    with TrialStore.open_read_only(folder.study) as store:
        return parse_config(store.study.config, str(folder.study), options)


def _changed(stored: Config, given: Config, section: str, *, changed: Iterable[str]) -> object:
    old, new = getattr(stored, section), getattr(given, section)
    names = {key.split(".")[1] for key in changed if key.startswith(f"{section}.")}
    return old.model_copy(update={name: getattr(new, name) for name in names})


def _as_written(value: object) -> str:
    return json.dumps(value)  # null and true, as in a configuration file


def check_same_trials(stored: Config, given: Config, folder: Path) -> None:
    """See that a study begun with one configuration can be gone on with, or read, under another.

    Args:
        stored: What it was begun with.
        given: What is asked for.
        folder: Its folder, for the message.

    Raises:
        UsageError: If they differ in what could change its trials.
    """
    differing = differing_settings(stored, given)
    effective = sorted(key for key in differing if key != "device" and not key.startswith(WITHOUT_EFFECT))
    if effective:
        raise UsageError(
            f"{folder}: was begun with other settings ({', '.join(effective[:5])}); give those or another --out"
        )


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
