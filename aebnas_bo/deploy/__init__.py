"""From an architecture to a network that is trained to the end, exported, and run."""

from aebnas_bo.deploy.runtime import DeployedNetwork, Predictions, load

__all__ = ["DeployedNetwork", "Predictions", "load"]
