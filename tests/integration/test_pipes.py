"""No file that a user or a run folder names is waited for: a pipe is an error at once.

Where the check is missing, a reader waits for ever; the alarm turns that into a failure.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aebnas_bo.config.loading import is_declaration, load_config
from aebnas_bo.data.image_shape import ImageShape
from aebnas_bo.deploy.looks_at_test_images import Look, known_looks, note_look
from aebnas_bo.deploy.shortlist_file import read_shortlist
from aebnas_bo.errors import AebnasError
from aebnas_bo.estimation.latency import LatencyTable
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.experiments.rank_correlation.correlation_tables import read_rows as correlation_rows
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import process_at_work
from aebnas_bo.storage.sealed_json import read_sealed
from aebnas_bo.storage.tensor_file import load_tensors

READERS: dict[str, Callable[[Path], object]] = {
    "configuration": load_config,
    "declaration": is_declaration,
    "method": lambda path: load_config(None, (), path),
    "table of results": lambda path: TabularEstimator.from_csv(path, ("accuracy", "macs")),
    "table of latencies": LatencyTable.read,
    "shape of images": ImageShape.read,
    "rows of a rank correlation": correlation_rows,
    "study": TrialStore.open,
    "study to read": TrialStore.open_read_only,
    "sealed": lambda path: read_sealed(path, "delete it"),
    "weights": lambda path: load_tensors(path, "anything"),
}


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    def fail(number: int, frame: object) -> None:
        raise TimeoutError("waits for a writer")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    with pytest.raises(AebnasError, match=r"pipe\.yaml.* cannot be read .*it is a pipe"):
        READERS[name](path)


FOLDER_READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "short list": ("shortlist.csv", read_shortlist),
    "looks": ("trained/test_looks.csv", lambda folder: known_looks(RunFolder(folder))),
    "next look": ("trained/test_looks.csv", lambda folder: note_look(RunFolder(folder), Look("a", "0", "", ""))),
}


@pytest.mark.parametrize("name", FOLDER_READERS)
def test_a_pipe_in_a_run_folder_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    file, read = FOLDER_READERS[name]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / file)
    with pytest.raises(AebnasError, match=rf"{file} cannot be read \(it is a pipe.*delete it"):
        read(tmp_path)


def test_nobody_is_at_work_where_the_lock_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.lock")
    assert process_at_work(tmp_path) is None
