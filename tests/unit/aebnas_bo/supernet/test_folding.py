import numpy as np
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.supernet import Supernet

KINDS = [f"space.stages.{number}.kinds=[{','.join(LAYER_KINDS)}]" for number in range(3)]
SPACE = NetworkSpace(load_config(None, ["space.preset=cifar", *KINDS]).space, 3, 10)


@torch.no_grad()
def test_a_folded_network_answers_as_before_without_any_batchnorm() -> None:
    supernet = Supernet(SPACE.declaration, SPACE.skeleton, 0)
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        subnet = extract(supernet, SPACE.architecture(SPACE.search_space.sample(np.random.default_rng(seed))))
        calibrate_batchnorm(subnet, images, 16)
        expected = subnet(images)
        fold_batchnorm(subnet)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in subnet.modules())
        for one, other in zip(subnet(images), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
