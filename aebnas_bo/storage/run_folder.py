"""Layout of a run folder, and choice of the folder of a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from aebnas_bo.errors import UsageError
from aebnas_bo.storage.regular_files import special_kind
from aebnas_bo.storage.shared_study import SharedStudy
from aebnas_bo.storage.storage_failures import EXHAUSTED, storage_error

RUNS = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def study_file(self) -> Path:
        """The database of trials, unless a shared database holds them; a folder with this file holds a study."""
        return self.path / "study.db"

    @property
    def shared_study_file(self) -> Path:
        """The place of the study in a shared database; a folder with this file holds a study."""
        return self.path / "study.json"

    @property
    def study(self) -> Path | SharedStudy:
        """Where the study is: its own database or its place in a shared one.

        Raises:
            CorruptStateError: If the file that names its place is damaged.
        """
        if self.study_file.exists() or not self.shared_study_file.exists():
            return self.study_file
        return SharedStudy.read(self.shared_study_file)

    @property
    def supernet(self) -> Path:
        """The trained supernet."""
        return self.path / "supernet.safetensors"

    @property
    def images(self) -> Path:
        """Channels and classes of the images, for studies without a supernet."""
        return self.path / "images.json"

    @property
    def checkpoint(self) -> Path:
        """State of unfinished supernet training."""
        return self.path / "supernet.training.safetensors"

    @property
    def estimates(self) -> Path:
        """Evaluations of networks with shared weights, one file per architecture."""
        return self.path / "estimates"

    @property
    def latencies(self) -> Path:
        """Measured latencies of the parts of networks, if latency is an objective."""
        return self.path / "latencies.json"

    @property
    def networks(self) -> Path:
        """Evaluations of separately trained networks, one file per architecture."""
        return self.path / "networks"

    @property
    def shortlist(self) -> Path:
        """Evaluations of briefly trained networks, one folder per number of epochs."""
        return self.path / "shortlist"

    @property
    def time_plan(self) -> Path:
        """Time plan of a run with a time budget."""
        return self.path / "time_plan.json"

    @property
    def trained(self) -> Path:
        """Fully trained networks, one folder per architecture, seed and recipe."""
        return self.path / "trained"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, one folder per stream."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """MLflow's database, unless another place is configured."""
        return self.path / "mlflow.db"

    @property
    def mlflow_runs(self) -> Path:
        """Numbers of the study's runs in MLflow."""
        return self.path / "mlflow_runs.json"

    @property
    def mlflow_artifacts(self) -> Path:
        """Pictures of the study's runs in MLflow's database."""
        return self.path / "mlflow"

    @property
    def front_figure(self) -> Path:
        """The figure of the Pareto front."""
        return self.path / "pareto_front.png"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def summary(self) -> Path:
        """Key figures of the run."""
        return self.path / "summary.json"

    def create(self) -> None:
        """Create the folder.

        Raises:
            UsageError: If it cannot be created or written to.
            StorageError: If the disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise storage_error(self.path, error) from error
            raise UsageError(f"--out {self.path}: cannot be created ({error.strerror}); use another folder") from error
        if not os.access(self.path, os.W_OK):
            raise UsageError(f"--out {self.path}: cannot be written to; use another folder")

    @property
    def holds_study(self) -> bool:
        """Whether the folder holds a study."""
        return self.study_file.exists() or self.shared_study_file.exists()

    def require_study(self) -> None:
        """Check that the folder holds a study.

        Raises:
            UsageError: If the folder does not exist or holds no study.
        """
        if not self.holds_study:
            problem = "holds no study" if self.path.is_dir() else "no such folder"
            raise UsageError(f"{self.path}: {problem}; give the folder that `aebnas-bo run` wrote")


def resume_command(folder: RunFolder) -> str:
    """Return the command that resumes a run, for messages."""
    return f"`aebnas-bo run --out {shlex.quote(str(folder.path))} --resume`"


def holds_study(folder: RunFolder) -> bool:
    """Return whether a folder holds a study."""
    return folder.holds_study


def choose_run_folder(
    out: Path | None,
    stem: str,
    resume: bool,
    *,
    may_start: bool = True,
    is_begun: Callable[[RunFolder], bool] = holds_study,
) -> RunFolder:
    """Choose the folder of a run; a new numbered folder is created at once, so that no other run takes it.

    Args:
        out: Folder named by the user, or `None` for `runs/STEM`, numbered from the second on.
        stem: Name of the study with its seed.
        resume: Whether to resume an existing study.
        may_start: Whether a run may start where there is nothing to resume; a misspelled name must not start one.
        is_begun: Returns whether a folder holds work to resume.

    Returns:
        The folder; with `resume` and no `out` the latest of this name that can be resumed.

    Raises:
        UsageError: If the named folder holds a study and `resume` is off, is no folder, none can be made, or there is
            nothing to resume.
    """
    if out is not None:
        check_folder(out)
    named = None if out is None else RunFolder(out)
    found = named
    if resume:
        found = _latest(stem, is_begun) if named is None else named if is_begun(named) else None
    elif named is not None and named.holds_study:
        raise UsageError(f"--out {out}: already holds a study; add --resume to resume it, or use another folder")
    if found is None and not may_start:
        place = out or RUNS / stem
        problem = "holds no study" if place.is_dir() else "there is no such folder"
        raise UsageError(
            f"nothing to resume: {place}: {problem}; name the folder of a study with --out, or start one with "
            "--resume-or-start"
        )
    return found or named or _claim(stem)


def _numbered(stem: str) -> Iterator[RunFolder]:
    """Yield the candidate folders of a run in order."""
    yield RunFolder(RUNS / stem)
    for number in count(2):
        yield RunFolder(RUNS / f"{stem}-{number}")


def _latest(stem: str, is_begun: Callable[[RunFolder], bool]) -> RunFolder | None:
    """Return the last folder of this name that can be resumed."""
    there = takewhile(lambda folder: folder.path.exists(), _numbered(stem))
    return next(filter(is_begun, reversed(list(there))), None)


def _claim(stem: str) -> RunFolder:
    """Create the first unused folder of this name."""
    for folder in _numbered(stem):
        try:
            folder.path.mkdir(parents=True)
            return folder
        except (FileExistsError, NotADirectoryError):
            if not RUNS.is_dir():  # a broken link, or a file
                raise UsageError(f"{RUNS}: is not a folder; remove it, or name a run folder with --out") from None
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise storage_error(folder.path, error) from error
            raise UsageError(
                f"{folder.path}: cannot be created ({error.strerror}); name a folder with --out"
            ) from error
    raise AssertionError("numbers have no end")


def remove_if_empty(folder: RunFolder) -> None:
    """Remove a folder that was created but not used."""
    with suppress(OSError):
        folder.path.rmdir()


def check_folder(path: Path) -> None:
    """Check that an output folder can be created, before a long computation; nothing is created.

    Raises:
        UsageError: If it is a file, or lies in something that is no folder or cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {path}: is a file; give a folder")
    there = next((one for one in (path, *path.absolute().parents) if os.path.lexists(one)), path)
    if not there.is_dir():
        raise UsageError(f"--out {path}: cannot be created ({there} is not a folder); use another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {path}: cannot be written to; use another folder")


def make_folder_of(path: Path) -> None:
    """Create the folder of an output file before a long computation.

    Raises:
        UsageError: If it cannot be created, or the file is a folder, a device or a pipe.
    """
    if os.path.isdir(path):
        raise UsageError(f"--out {path}: is a folder; give a file")
    if kind := special_kind(path):
        raise UsageError(f"--out {path}: is a {kind}, not a regular file; use another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written ({error.strerror}); use another file") from error
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--out {path}: cannot be written (its folder is not writable); use another file")
