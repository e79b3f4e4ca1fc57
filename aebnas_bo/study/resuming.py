"""Configuration of a resumed study: the stored one, changed only by settings that leave its trials unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from aebnas_bo.config.effects import BY_OPTION, SEARCH_KEEPS, check_after_search, effect_of
from aebnas_bo.config.loading import load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.shared_study import SharedStudy


def resumed_config(study: Path | SharedStudy, given: Config, *, has_file: bool, options: Sequence[str]) -> Config:
    """Apply to the stored configuration the changes that resuming allows.

    Args:
        study: The study's database, or its place in a shared one.
        given: The configuration from file and options.
        has_file: Whether a file was given; without one, only settings named by the options are compared.
        options: `section.key=value` options; only they may change the budget of trials and settings of the machine.

    Raises:
        ConfigError: If another setting differs that could change the trials of the study.
        CorruptStateError: If the study cannot be read.
    """
    with TrialStore.open_read_only(study) as store:
        stored = parse_config(store.study.config, str(study))
    given = _with_points(given, stored)
    differing = differing_settings(stored, given)
    # space.preset stands for the whole section
    named = {"space" if o.startswith("space") else o.partition("=")[0].strip() for o in options}
    in_options = {key for key in differing if any(key == name or key.startswith(f"{name}.") for name in named)}
    said = differing.keys() if has_file else in_options
    forbidden = {key for key in said if effect_of(key) not in BY_OPTION | SEARCH_KEEPS}
    if forbidden:
        raise ConfigError(
            [
                f"{key}: the study has {_as_written(differing[key][0])}, --resume cannot change it to "
                f"{_as_written(differing[key][1])}; start another run folder"
                for key in sorted(forbidden)
            ]
        )
    changed = {key for key in in_options if effect_of(key) in BY_OPTION}
    changed |= {key for key in said if effect_of(key) in SEARCH_KEEPS}
    top = {key: getattr(given, key) for key in changed if "." not in key}
    sections = {key.partition(".")[0] for key in changed if "." in key}
    return stored.model_copy(
        update={**top, **{name: _changed(stored, given, name, changed=changed) for name in sections}}
    )


def check_resumed(folder: RunFolder, given: Config, *, has_file: bool, options: Sequence[str]) -> None:
    """Check whether `resumed_config` accepts a configuration, before a command imports PyTorch.

    The check is left to `resumed_config` if the study has a time plan, whose decisions are applied before.

    Args:
        folder: The run folder.
        given: See `resumed_config`.
        has_file: See `resumed_config`.
        options: See `resumed_config`.

    Raises:
        ConfigError: If another setting differs that could change the trials of the study.
        CorruptStateError: If the study cannot be read.
    """
    if not folder.time_plan.exists():
        resumed_config(folder.study, given, has_file=has_file, options=options)


def check_training_settings(folder: RunFolder, options: Sequence[str]) -> None:
    """Check the settings of a final training, before a command imports PyTorch.

    Args:
        folder: The run folder, which holds a study.
        options: `section.key=value` strings.

    Raises:
        ConfigError: If a setting is wrong, or one that the finished search depends on.
        CorruptStateError: If the study cannot be read.
    """
    check_after_search(options)
    with TrialStore.open_read_only(folder.study) as store:
        parse_config(store.study.config, str(folder.study), options)


def _with_points(given: Config, stored: Config) -> Config:
    """Return a configuration with the points of its backbone, if the study found them for the same backbone."""
    new, old = given.space, stored.space
    if new.backbone is None or old.backbone is None or new.backbone.found is not None:
        return given
    is_same = new.backbone.as_given == old.backbone.as_given and new.branch_stride == old.branch_stride
    is_same = is_same and new.exits in ((), old.exits) and new.resolutions in ((), old.resolutions)
    return given.model_copy(update={"space": old}) if is_same else given


def given_config(folder: RunFolder, path: Path | None, options: Sequence[str]) -> Config:
    """Load the configuration from file and options, for a study that may exist.

    Without a file, options are applied to the configuration of the study and checked against it. Options of the space
    are applied to the default configuration, because a stored configuration has no preset.

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
    """Check that two configurations lead to equal trials, so that a study of one can be resumed under the other.

    Args:
        stored: The stored configuration.
        given: The new configuration.
        folder: Folder of the study, for the message.

    Raises:
        UsageError: If they differ in a setting that could change the trials.
    """
    harmless = SEARCH_KEEPS | {"machine"}
    given = _with_points(given, stored)
    effective = sorted(key for key in differing_settings(stored, given) if effect_of(key) not in harmless)
    if effective:
        raise UsageError(
            f"{folder}: was created with other settings ({', '.join(effective[:5])}); use those or another --out"
        )


def differing_settings(stored: Config, given: Config) -> dict[str, tuple[object, object]]:
    """Return the stored and the new value of every setting that differs, by dotted path."""
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
