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
    for wrong in ("", "a", "3-1", "1-", "-2", "1-2-3", "٣", "²"):
        with pytest.raises(UsageError, match="expected numbers and ranges"):
            parse_seeds(wrong)


def test_seeds_that_are_a_slip_are_refused_before_they_are_listed() -> None:
    assert parse_seeds("4294967296,007") == [7, 4294967296]
    assert len(parse_seeds("0-999")) == 1000
    for wrong, reason in (
        ("0-999999999999", "the largest seed is 4294967296"),
        ("4294967297", "the largest seed is 4294967296"),
        ("9" * 5000, "the largest seed is 4294967296"),
        ("0-1000", "expected at most 1000 seeds, such as 0-999"),
        ("0-4294967296", "expected at most 1000 seeds"),
        ("0-999,1000-1999", "expected at most 1000 seeds"),
    ):
        with pytest.raises(UsageError, match=reason) as caught:
            parse_seeds(wrong)
        assert len(str(caught.value)) < 200
