"""Settings of this process with which PyTorch, NumPy and SciPy are faster on CPUs."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

CACHED_KERNELS = 20_000  # of oneDNN, unless set; a supernet has more shapes than its default of 1,024
# Parameters of glibc's `mallopt`, the variables with which users set them, and our values in bytes. By default glibc
# returns the memory of a freed tensor to the system at once, and the next step waits while it gets empty pages again.
MALLOC = (
    (-3, "MALLOC_MMAP_THRESHOLD_", 32 * 2**20),  # the largest value allowed: smaller tensors stay in the heap
    (-1, "MALLOC_TRIM_THRESHOLD_", 512 * 2**20),  # free memory that the heap keeps
)


def keep_kernels_and_memory() -> None:
    """Let oneDNN keep compiled kernels, and glibc the memory of freed tensors; variables set by users take precedence.

    oneDNN reads its setting when PyTorch first runs a convolution. Other C libraries than glibc keep their behaviour.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(CACHED_KERNELS))
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    for parameter, variable, value in MALLOC:
        if variable not in os.environ:
            library.mallopt(parameter, value)


def set_up_cpu(num_threads: int) -> None:
    """Set the number of threads of PyTorch's operators and of the BLAS of NumPy and SciPy; keep kernels and memory.

    Otherwise OpenBLAS uses all cores: its threads spin while they wait for the next small matrix, which takes time from
    other processes and slows the L-BFGS-B steps of surrogates down.

    Args:
        num_threads: Threads of one operator.
    """
    import torch  # noqa: PLC0415  slow to import

    keep_kernels_and_memory()
    torch.set_num_threads(num_threads)
    threadpool_limits(num_threads, user_api="blas")  # until the next call


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block on one CPU thread: more threads do not speed up small matrices and are slow on a busy machine."""
    import torch  # noqa: PLC0415  slow to import

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
