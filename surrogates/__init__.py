"""Gaussian processes and acquisition functions for mixed, conditional spaces, given as tensors and column names."""

import warnings

with warnings.catch_warnings():  # raised by importing linear_operator; later calls still warn
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    import linear_operator  # noqa: F401
