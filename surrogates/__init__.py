"""Gaussian processes and acquisition over mixed, conditional spaces; knows tensors and column names only."""

import warnings

with warnings.catch_warnings():  # of what linear_operator does on import; whoever scripts modules is still warned
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    import linear_operator  # noqa: F401
