"""Final training, export and inference of networks."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aebnas_bo.deploy.runtime import DeployedNetwork, Predictions, load

__all__ = ["DeployedNetwork", "Predictions", "load"]


if not TYPE_CHECKING:  # PyTorch takes seconds to import, and modules that only read folders do not need it

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'aebnas_bo.deploy' has no attribute {name!r}")
        return getattr(import_module("aebnas_bo.deploy.runtime"), name)
