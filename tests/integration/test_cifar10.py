"""A shipped CIFAR-10 configuration on the real images, cut down to seconds."""

from pathlib import Path

from .conftest import read_csv

ROOT = Path(__file__).resolve().parents[2]


def test_the_configuration_runs_on_the_real_images(cifar10: Path, run, tmp_path: Path) -> None:
    result = run(
        "--config", str(ROOT / "configs" / "cifar10-mini.yaml"), "--budget", "6", "--out", "a",
        "--set=data.max_train_images=400", "--set=data.max_test_images=100", "--set=num_threads=1",
        "--set=data.calibration_fraction=0.1", "--set=data.validation_fraction=0.2", "--set=supernet.epochs=1",
        "--set=supernet.batch_size=64",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert len(read_csv(tmp_path / "a/trials.csv")) == 6
