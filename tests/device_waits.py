"""Operations that would wait for a GPU, counted on the CPU.

`Tensor.tolist` is not seen there. Averages of weights (`ema_decay`) read a counter that is on the CPU in any case.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
# Reading a number (`float`, `bool`, `item`), and results whose size depends on values.
WAITING = {
    ATEN._local_scalar_dense.default,
    ATEN.is_nonzero.default,
    ATEN.nonzero.default,
    ATEN.masked_select.default,
    ATEN.equal.default,
}


class DeviceWaits(TorchDispatchMode):
    """Context that counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count += func in WAITING
        return func(*args, **(kwargs or {}))
