"""Trackers of a study, created from its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from aebnas_bo.config.schema import Config
from aebnas_bo.errors import UsageError
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.tracking.settings import TrackerName
from aebnas_bo.tracking.tracker import Tracker
from aebnas_bo.tracking.watcher import MakeTracker, Watcher

PACKAGES: Mapping[TrackerName, tuple[str, ...]] = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "alembic"),
}


@contextmanager
def watching(config: Config, folder: RunFolder) -> Iterator[Watcher]:
    """Yield a watcher with the trackers of a configuration, and close it at the end.

    Args:
        config: The configuration.
        folder: The run folder.

    Raises:
        UsageError: If the package of a tracker is not installed.
    """
    check_trackers(config)
    makers: dict[TrackerName, MakeTracker] = {
        "tensorboard": lambda: _tensorboard(folder),
        "mlflow": lambda: _mlflow(config, folder),
    }
    watcher = Watcher({name: makers[name] for name in dict.fromkeys(config.tracking.trackers)})
    try:
        yield watcher
    finally:
        watcher.close()


def check_trackers(config: Config) -> None:
    """Check that the packages of the trackers are installed.

    Raises:
        UsageError: If one is not.
    """
    for name in config.tracking.trackers:
        if missing := [package for package in PACKAGES[name] if find_spec(package) is None]:
            raise UsageError(
                f"tracking.trackers: {name} needs {', '.join(missing)}, not installed here; run pip install "
                f"'aebnas_bo[{name}]', or leave it out with --set 'tracking.trackers=[]'"
            )


def _tensorboard(folder: RunFolder) -> Tracker:
    from aebnas_bo.tracking.tensorboard_files import TensorBoardFiles  # noqa: PLC0415  an extra

    return TensorBoardFiles(folder.tensorboard)


def _mlflow(config: Config, folder: RunFolder) -> Tracker:
    from aebnas_bo.tracking.mlflow_tracker import MlflowTarget, MlflowTracker  # noqa: PLC0415  starts a process

    settings = config.tracking
    target = MlflowTarget(
        uri=settings.mlflow_uri or f"sqlite:///{folder.mlflow.absolute()}",
        experiment=settings.mlflow_experiment or config.name,
        run_name=folder.path.absolute().name,
        runs_file=folder.mlflow_runs,
        artifacts=folder.mlflow_artifacts,
        parameters=_parameters(config.model_dump(mode="json", exclude={"space", "tracking"})),
    )
    return MlflowTracker(target)


def _parameters(tree: Mapping[str, object], path: str = "") -> dict[str, str]:
    """Return the settings of a configuration by dotted path."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _parameters(value, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return found
