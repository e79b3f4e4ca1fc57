from types import SimpleNamespace

import pytest
import torch

from aebnas_bo.backbones.pieces import given_pieces
from aebnas_bo.deploy.segments import segments
from aebnas_bo.space.architecture import Architecture, ExitBranch
from aebnas_bo.supernet.given_subnet import GivenSubnet
from tests.given_networks import given_space


@pytest.mark.slow
def test_the_final_classifier_of_a_given_backbone_reads_its_last_point() -> None:
    space = given_space("TinyResNet")
    given = space.skeleton.given
    assert given is not None
    architecture = Architecture(given.resolution, (), (ExitBranch(()), None))  # no exit at the last point
    subnet = GivenSubnet(architecture, space.skeleton, given_pieces(given)).eval()
    exit1, final = (SimpleNamespace(is_final=name == "final", position=0) for name in ("exit1", "final"))
    description = SimpleNamespace(
        architecture=architecture, skeleton=space.skeleton, outputs=[exit1, final], image_size=8,
        mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    images = torch.rand(2, 3, 8, 8)
    first, last = segments(subnet, description)
    with torch.no_grad():
        features, early = first(images)
        _, late = last(features)
        expected = subnet(images)
    torch.testing.assert_close(early, expected[0])
    torch.testing.assert_close(late, expected[1])
