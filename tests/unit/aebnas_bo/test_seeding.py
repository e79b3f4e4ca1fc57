import pytest
import torch

from aebnas_bo.errors import UsageError
from aebnas_bo.seeding import child_seed, numpy_generator, parse_seeds, torch_generator


def test_children_differ_by_seed_and_by_every_name() -> None:
    seeds = [child_seed(0, "a"), child_seed(1, "a"), child_seed(0, "b"), child_seed(0, "a", 1), child_seed(0, "a", 2)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_repeat_themselves_and_leave_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(
        torch.rand(3, generator=torch_generator(1, "x")), torch.rand(3, generator=torch_generator(1, "x"))
    )
    assert numpy_generator(1, "x").random() == numpy_generator(1, "x").random()
    assert torch.equal(before, torch.get_rng_state())


def test_seeds_are_numbers_and_ranges() -> None:
    assert parse_seeds("0-2") == [0, 1, 2]
    assert parse_seeds("7, 0-1,7") == [0, 1, 7]
    for wrong in ("", "a", "3-1", "1-", "-2"):
        with pytest.raises(UsageError, match="expected numbers and ranges"):
            parse_seeds(wrong)
