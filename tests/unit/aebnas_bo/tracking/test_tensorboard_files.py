"""Event files: TensorBoard reads them, and an interrupted run continues them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aebnas_bo.testing.tracker_contract import TrackerContract
from aebnas_bo.tracking.tensorboard_files import TensorBoardFiles, events, last_step
from aebnas_bo.tracking.tracker import Record

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


class TestTensorBoardFiles(TrackerContract):
    def tracker(self, folder: Path) -> TensorBoardFiles:
        return TensorBoardFiles(folder)

    def stored(self, folder: Path, stream: str) -> list[tuple[int, dict[str, float]]]:
        written = [event for event in events(folder / stream) if event.summary.value]
        return [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in written]


def _write(folder: Path, *steps: int) -> None:
    tracker = TensorBoardFiles(folder)
    for step in steps:
        tracker.write(Record("search", step, {"accuracy": 10.0 * step}, time=1000.0 + step))
    tracker.close()


def test_tensorboard_reads_the_values_of_all_processes(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1)
    _write(tmp_path, 0, 1, 2)
    _write(tmp_path)
    read = accumulators.EventAccumulator(str(tmp_path / "search"))
    read.Reload()
    scalars = [(scalar.step, scalar.value, scalar.wall_time) for scalar in read.Scalars("accuracy")]
    assert scalars == [(0, 0.0, 1000.0), (1, 10.0, 1001.0), (2, 20.0, 1002.0)]


def test_an_incomplete_record_is_written_again(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1)
    [path] = (tmp_path / "search").iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert last_step(tmp_path / "search") == 0
    _write(tmp_path, 0, 1, 2)
    read = accumulators.EventAccumulator(str(tmp_path / "search"))
    read.Reload()
    assert [scalar.step for scalar in read.Scalars("accuracy")] == [0, 1, 2]


def test_a_picture_has_its_size(tmp_path: Path) -> None:
    path = tmp_path / "front.png"
    Image.fromarray(np.zeros((3, 5, 3), dtype=np.uint8)).save(path)
    tracker = TensorBoardFiles(tmp_path)
    tracker.write(Record("front", 4, pictures={"front": path.read_bytes()}))
    tracker.close()
    read = accumulators.EventAccumulator(str(tmp_path / "front"))
    read.Reload()
    [image] = read.Images("front")
    assert (image.step, image.width, image.height) == (4, 5, 3)
    assert image.encoded_image_string == path.read_bytes()


def test_a_full_disk_raises_at_once(tmp_path: Path, monkeypatch) -> None:
    tracker = TensorBoardFiles(tmp_path)
    tracker.write(Record("search", 0, {"accuracy": 1.0}))

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.flush", full)
    with pytest.raises(OSError, match="No space"):
        tracker.write(Record("search", 1, {"accuracy": 1.0}))
