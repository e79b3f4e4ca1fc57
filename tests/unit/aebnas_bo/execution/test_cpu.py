"""Settings of a process for PyTorch on CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from threadpoolctl import threadpool_info

from aebnas_bo.execution.cpu import one_thread, set_up_cpu

REUSE = """
    import resource
    import sys

    import numpy as np

    from aebnas_bo.execution.cpu import keep_kernels_and_memory

    if sys.argv[1] == "kept":
        keep_kernels_and_memory()

    def step():
        arrays = [np.ones(2**20, np.float32) for _ in range(12)]  # freed together, as after a backward pass
        return len(arrays)

    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(argument: str, **variables: str) -> int:
    """Return the page faults of ten steps that allocate and free 48 MB each."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", textwrap.dedent(REUSE), argument]
    found = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
@pytest.mark.slow
def test_freed_memory_is_used_again_without_page_faults() -> None:
    assert page_faults("kept") < page_faults("as by default") / 10


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
@pytest.mark.slow
def test_variables_set_by_users_take_precedence() -> None:
    # A threshold of 64 KiB maps and unmaps every array, whatever we would set.
    faults = page_faults("kept", MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    assert faults > 10 * page_faults("kept")


def test_cached_kernels_of_users_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    from aebnas_bo.execution.cpu import CACHED_KERNELS, keep_kernels_and_memory

    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_kernels_and_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    keep_kernels_and_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == str(CACHED_KERNELS)


def threads() -> list[int]:
    """Return the number of threads of PyTorch and of each loaded BLAS."""
    return [torch.get_num_threads(), *(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")]


def test_the_number_of_threads_is_that_of_pytorch_and_blas() -> None:
    set_up_cpu(2)
    before = threads()
    assert len(before) > 1
    assert set(before) == {2}
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
