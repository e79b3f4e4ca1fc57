import pytest

from aebnas_bo.deploy.export_formats import check_formats
from aebnas_bo.errors import UsageError


def test_formats_are_known_by_name() -> None:
    assert check_formats(["onnx", "torch", "onnx"]) == ["onnx", "torch"]
    with pytest.raises(UsageError, match="--format h5: no such format; expected one of torch, onnx, onnx-segments"):
        check_formats(["torch", "h5"])
