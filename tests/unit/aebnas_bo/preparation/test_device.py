import pytest
import torch

from aebnas_bo.errors import ConfigError
from aebnas_bo.preparation.device import resolve_device


def test_cuda_without_a_device_is_a_configuration_error(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="no CUDA device"):
        resolve_device("cuda")
