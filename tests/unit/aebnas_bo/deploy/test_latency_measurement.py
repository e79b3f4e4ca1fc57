import pytest
import torch
from PIL import Image
from rich.console import Console

from aebnas_bo.deploy import load
from aebnas_bo.deploy.latency_measurement import (
    EARLY,
    FORCED,
    PLAIN,
    Latency,
    Workload,
    measure_file,
    measure_latency,
)
from aebnas_bo.deploy.network_file import save_network
from aebnas_bo.deploy.trained_table import latency_table, write_latency_csv
from aebnas_bo.errors import DataError, UsageError


def test_every_variant_is_measured_and_costs_what_it_should(make_network, pixels, tmp_path) -> None:
    subnet, description = make_network()
    rows = measure_latency(subnet, description, pixels, workload=Workload((1, 8), 5), has_onnx=False)
    assert [(row.runtime, row.batch_size) for row in rows] == [("torch", 1)] * 5 + [("torch", 8)] * 5
    assert [row.variant for row in rows[:5]] == [EARLY, FORCED, PLAIN, "leaving at exit1", "leaving at exit2"]
    exit1, exit2, final = description.outputs
    expected = {FORCED: final.macs, PLAIN: final.macs_without_passed, "leaving at exit1": exit1.macs,
                "leaving at exit2": exit2.macs}  # fmt: skip
    save_network(tmp_path / "network.safetensors", subnet, description)
    left_at = load(tmp_path).predict(pixels).exit_indices
    costs = torch.tensor([output.macs for output in description.outputs])
    for row, images in ((rows[0], 5), (rows[5], 40)):
        assert row.average_macs == pytest.approx(float(costs[left_at[:images]].double().mean()) / 1e6)
    for row in rows:
        assert 0.0 < row.p50_ms <= row.p95_ms
        assert row.mean_ms_per_image > 0.0
        if row.variant in expected:
            assert row.average_macs == expected[row.variant] / 1e6


def test_a_network_that_ends_at_an_exit_is_forced_to_that_exit(make_network, pixels) -> None:
    subnet, description = make_network(thresholds=(0.5, 0.0))
    rows = measure_latency(subnet, description, pixels, workload=Workload((8,), 2), has_onnx=False)
    macs = {row.variant: row.average_macs for row in rows}
    assert macs[FORCED] == description.outputs[-1].macs / 1e6
    assert list(macs) == [EARLY, FORCED, PLAIN, "leaving at exit1"]


@pytest.mark.slow
def test_onnx_is_measured_beside(make_network, pixels) -> None:
    subnet, description = make_network(thresholds=(None, None))  # without exits exporting takes least
    rows = measure_latency(subnet, description, pixels, workload=Workload((1,), 2))
    assert [row.runtime for row in rows] == ["torch"] * 3 + ["onnx-segments"] * 3 + ["onnx"] * 3
    assert {row.average_macs for row in rows} == {description.outputs[-1].macs / 1e6}


def test_a_file_is_measured_on_pictures(make_network, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("aebnas_bo.deploy.latency_measurement.READERS", ("no_such_package",))
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    Image.new("RGB", (20, 20), (200, 10, 10)).save(tmp_path / "red.png")
    for path in (tmp_path, tmp_path / "network.safetensors"):
        rows = measure_file(path, [tmp_path / "red.png"], Workload([1], 2, 1))
        assert {row.runtime for row in rows} == {"torch"}
    with pytest.raises(UsageError, match="expected a network in the format torch"):
        measure_file(tmp_path / "red.png", [tmp_path], Workload([1], 2, 1))
    with pytest.raises(DataError, match="no such picture"):
        measure_file(tmp_path, [tmp_path / "blue.png"], Workload([1], 2, 1))


def test_table_and_csv_say_what_is_saved(tmp_path) -> None:
    rows = [
        Latency("torch", 1, EARLY, 1.0, 2.0, 1.1, 0.25),
        Latency("torch", 1, FORCED, 4.0, 5.0, 4.1, 1.0),
        Latency("torch", 1, PLAIN, 2.0, 2.5, 2.1, 0.5),
        Latency("onnx", 1, EARLY, 3.0, 3.0, 3.0, 0.5),
        Latency("onnx", 1, FORCED, 4.0, 4.0, 4.0, 1.0),
        Latency("onnx", 1, PLAIN, 2.0, 2.0, 2.0, 1.0),
    ]
    console = Console(width=160, record=True)
    console.print(latency_table(rows))
    text = console.export_text()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert [row[2] for row in cells] == [PLAIN, EARLY, FORCED] * 2
    # time and MACs saved against the network without exits come first: 1 of 2 ms, 0.25 of 0.5 M
    assert [row[3:5] for row in cells] == [
        ["–", "–"],
        ["50", "50"],
        ["-100", "-100"],
        ["–", "–"],
        ["-50", "50"],
        ["-100", "0"],
    ]
    assert [row[-1] for row in cells] == ["–", "75", "–", "–", "25", "–"]
    write_latency_csv(tmp_path / "times.csv", rows)
    assert len((tmp_path / "times.csv").read_text().splitlines()) == 7
