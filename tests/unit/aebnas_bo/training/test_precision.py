import torch

from aebnas_bo.training.precision import autocast


def dtype_of(precision: str) -> torch.dtype:
    with autocast(precision, torch.device("cpu")):  # type: ignore[arg-type]
        return torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2)).dtype


def test_the_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert dtype_of("auto") == dtype_of("float32") == torch.float32
    assert dtype_of("bfloat16") == torch.bfloat16


def test_a_gpu_computes_in_bfloat16_unless_told_otherwise(monkeypatch) -> None:
    contexts = []
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: contexts.append((kind, dtype, enabled)))
    for precision in ("auto", "float32"):
        autocast(precision, torch.device("cuda"))  # type: ignore[arg-type]
    assert contexts == [("cuda", torch.bfloat16, True), ("cuda", torch.bfloat16, False)]
