"""Contract tests for `CostObjective`: inherit the class and define the fixture `objective`."""

from __future__ import annotations

import numpy as np

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.cost_objective import CostObjective, check_cost, costs_of
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.network_space import NetworkSpace

NUM_NETWORKS = 20


class CostObjectiveContract:
    """Contract tests for an implementation of `CostObjective`, which the fixture `objective` returns.

    Attributes:
        space: Settings of the space of the tested networks.
    """

    space = "space=tiny"

    def test_name_and_reference_can_be_used(self, objective: CostObjective) -> None:
        """The name is an unused Python identifier, the reference value is finite and the unit is text."""
        check_cost(objective)
        assert isinstance(objective.unit, str)

    def test_every_output_has_one_finite_cost(self, objective: CostObjective) -> None:
        """This holds for networks with all, some and none of their exits."""
        space, networks = self._networks()
        for network in networks:
            assert len(costs_of(objective, network, space.skeleton)) == len(network.active_exits) + 1

    def test_equal_networks_cost_the_same(self, objective: CostObjective) -> None:
        """Costs depend only on the network, so that a study can be resumed."""
        (space, networks), (_, again) = self._networks(), self._networks()
        for one, other in zip(networks, again, strict=True):
            assert costs_of(objective, one, space.skeleton) == costs_of(objective, other, space.skeleton)

    def _networks(self) -> tuple[NetworkSpace, list[Architecture]]:
        space, generator = NetworkSpace(load_config(None, [self.space]).space, 1, 10), np.random.default_rng(0)
        drawn = [space.architecture(space.search_space.sample(generator)) for _ in range(NUM_NETWORKS)]
        return space, [space.largest_without_exits, *drawn]
