from itertools import pairwise
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.plain_baseline import PlainContext
from aebnas_bo.experiments.comparison.plain_method import plain_widths
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def context() -> PlainContext:
    return PlainContext(RunFolder(Path("nowhere")), Problem.load(load_config(None)))


def test_widths_span_the_range_up_to_the_budget(context: PlainContext) -> None:
    widths = plain_widths(context, context.macs_of(4), 1.001 * context.macs_of(60))
    assert len(widths) == 5
    assert (widths[0], widths[-1]) == (4, 60)
    macs = [context.macs_of(width) for width in widths]
    steps = [more / less for less, more in pairwise(macs)]
    assert max(steps) / min(steps) < 1.3  # as even as whole numbers allow


def test_no_width_lies_above_the_budget(context: PlainContext) -> None:
    below_ten = 0.999 * context.macs_of(10)
    assert context.width_of(below_ten) == 10
    assert plain_widths(context, context.macs_of(2), below_ten)[-1] == 9


def test_widths_are_distinct_and_at_least_one(context: PlainContext) -> None:
    assert plain_widths(context, context.macs_of(3), context.macs_of(3)) == [3]
    assert plain_widths(context, 1.0, 1e-9) == [1]
