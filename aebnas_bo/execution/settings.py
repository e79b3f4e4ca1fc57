"""Settings of execution: where trials are evaluated and networks are trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Effect, Section


class ExecutionConfig(Section):
    """Workers that evaluate trials.

    Args:
        engine: `serial` evaluates one trial at a time in the process of the run; `ray` evaluates trials on workers of a
            Ray cluster.
        workers: Number of workers.
        cpus_per_worker: CPU cores that Ray reserves for a worker.
        gpus_per_worker: Share of a GPU, or number of GPUs, that Ray reserves for a worker; workers without one run
            networks on the CPU.
        address: Ray cluster: `auto` finds the one on this machine, `HOST:PORT` names one, and `local` or null starts
            one on this machine for the run.
        object_store_mb: Memory in MB for objects that local workers share, if the run starts the cluster.
        lease_s: Seconds without a sign of life after which a worker counts as lost, and its trial is given to another.
        max_attempts: Workers that may be lost with the same trial before it fails.
    """

    affects: ClassVar[Effect] = "machine"

    engine: Literal["serial", "ray"] = "serial"
    workers: Annotated[int, Field(ge=1, le=4096)] = 1
    cpus_per_worker: Annotated[float, Field(gt=0.0, le=1024.0)] = 1.0
    gpus_per_worker: Annotated[float, Field(ge=0.0, le=64.0)] = 0.0
    address: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    object_store_mb: Annotated[int, Field(ge=80, le=1_000_000)] = 200
    lease_s: Annotated[float, Field(ge=1.0, le=86400.0)] = 60.0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3

    @model_validator(mode="after")
    def _check(self) -> ExecutionConfig:
        if self.engine == "serial" and self.workers > 1:
            raise ValueError(
                f"workers: the engine serial evaluates one trial at a time, but workers is {self.workers}; set "
                "engine: ray, or workers: 1"
            )
        if self.gpus_per_worker > 1.0 and not self.gpus_per_worker.is_integer():
            raise ValueError(
                f"gpus_per_worker: expected a share below 1 or a whole number of GPUs, got {self.gpus_per_worker:g}"
            )
        return self
