from pathlib import Path

import pytest

from aebnas_bo.deploy.exported_files import file_of_weights, network_file
from aebnas_bo.errors import UsageError


def folder_with(parent: Path, *names: str) -> Path:
    for name in names:
        (parent / name).parent.mkdir(parents=True, exist_ok=True)
        (parent / name).touch()
    return parent


def test_folders_below_that_hold_a_network_are_named_and_work(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "torch/network.safetensors", "onnx/network.onnx", "notes/readme.txt")
    with pytest.raises(UsageError) as caught:
        network_file(folder)
    message, _, named = str(caught.value).rpartition(": ")
    assert message.endswith("holds no exported network; name a folder below it that does")
    assert [network_file(Path(one)).name for one in named.split(", ")] == ["network.onnx", "network.safetensors"]


def test_only_folders_in_the_format_torch_are_named_where_it_is_needed(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "torch/network.safetensors", "onnx/network.onnx")
    with pytest.raises(UsageError, match=r"in the format torch; name a folder below it that does: \S*/torch$"):
        file_of_weights(folder)


def test_a_folder_without_networks_names_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected one of network.safetensors, network.onnx, manifest.json$"):
        network_file(tmp_path)
    with pytest.raises(UsageError, match=r"in the format torch; expected network.safetensors$"):
        file_of_weights(tmp_path)
