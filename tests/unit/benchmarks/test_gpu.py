"""The script for a GPU runs tiny on the CPU, and says so without a GPU."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


@pytest.mark.slow
def test_tiny_measures_everything(tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "gpu.json"
    monkeypatch.setattr("sys.argv", ["gpu", "--tiny", "--out", str(out)])
    gpu.main()
    found = json.loads(out.read_text())
    assert found["supernet"]["before_images_per_s"] > 0.0
    assert found["final_training"]["ratio"] > 0.0
    if not torch.cuda.is_available():
        assert found["estimates"]["accuracy_points"] == 0.0
        assert found["estimates"]["average_macs_percent"] == 0.0


def test_a_machine_without_gpu_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu", "--out", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()
