"""Gaussian processes and acquisition over mixed, conditional spaces; knows tensors and column names only."""

import warnings

with warnings.catch_warnings():  # raised while linear_operator is imported; later calls still warn
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    import linear_operator  # noqa: F401
