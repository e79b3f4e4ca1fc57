import torch

from aebnas_bo.seeding import child_seed, numpy_generator, torch_generator


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
