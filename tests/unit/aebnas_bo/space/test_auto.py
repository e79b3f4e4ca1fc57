"""The space that is built for the images and the limit."""

import itertools

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.architecture import Architecture, Block, Stage
from aebnas_bo.space.auto import auto_declaration, plain_macs
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import LEAST_STEM, plain_points

SIZES = (8, 16, 28, 32, 48, 64, 96, 128, 224, 512)
LIMITS = (None, 0.05, 0.3, 2.44, 20.0)


def space_of(size: int, limit: float | None) -> NetworkSpace:
    settings = ["space.preset=auto", f"data.image_size={size}", "data.dataset=cifar10", "data.root=."]
    return NetworkSpace(load_config(None, [*settings, f"search.max_average_macs={limit or 'null'}"]).space, 3, 10)


@pytest.mark.parametrize(("size", "limit"), itertools.product(SIZES, LIMITS))
def test_auto_spans_the_limit_at_every_size(size: int, limit: float | None) -> None:
    space = space_of(size, limit)
    assert max(space.declaration.resolutions) <= min(size, 224)
    cheapest, most = space.middle_macs**2 / _macs(space), _macs(space)
    if limit is not None:
        assert most >= 2e6 * limit
        assert cheapest <= max(limit * 1e6 / 2, 90e3)  # below that a network has too few channels to count


def _macs(space: NetworkSpace) -> int:
    return exit_costs(space.largest_without_exits, space.skeleton).cumulative[-1]


def test_auto_contains_the_plain_network() -> None:
    # stem of w channels and stride 2, blocks of 2w, 2w, 4w, 4w, 8w and 16w channels with strides 1, 1, 2, 1, 2, 2
    space = space_of(32, None)
    widths = [stage.widths for stage in space.declaration.stages]
    block = Block(3, 1, "depthwise_separable")
    plain = Architecture(
        32,
        tuple(Stage(widths[n][2], (block,) * depth) for n, depth in enumerate((2, 2, 1, 1))),
        (None,) * 3,
    )
    point = {p.name: p.values[0] if hasattr(p, "values") else p.upper for p in space.search_space.parameters}
    point |= {"resolution": 32, "stage1_depth": 2, "stage2_depth": 2, "stage3_depth": 1, "stage4_depth": 1}
    point |= {f"stage{n + 1}_width": widths[n][2] for n in range(4)}
    assert space.architecture(point) == plain


def test_auto_shrinks_large_images_where_the_limit_is_low() -> None:
    assert max(space_of(224, 0.3).declaration.resolutions) < 112
    assert max(space_of(224, 30.0).declaration.resolutions) == 224


@pytest.mark.parametrize(
    ("size", "strides"),
    [
        (8, [1, 2, 2, 2]),
        (16, [1, 2, 2, 2, 2]),
        (28, [2, 1, 2, 2, 2]),
        (40, [2, 1, 2, 2, 2]),
        (48, [2, 2, 2, 2, 2]),
        (224, [2, 2, 2, 2, 2, 2]),
    ],
)
def test_maps_shrink_early(size: int, strides: list[int]) -> None:
    declaration = space_of(size, None).declaration
    assert [declaration.stem_stride, *(stage.stride for stage in declaration.stages)] == strides


def test_a_network_that_would_be_narrow_gets_a_lower_resolution() -> None:
    space = space_of(96, 2.5)
    networks = [space.architecture(point) for point in plain_points(space)]
    resolutions = {one.resolution: [] for one in networks}
    for one in networks:
        resolutions[one.resolution].append(exit_costs(one, space.skeleton).backbone[-1])
        assert one.stages[0].width >= 2 * LEAST_STEM
    assert sorted(resolutions) == [48, 72, 96]
    assert min(resolutions[48]) < 0.25e6 < min(resolutions[72]) < 0.8e6 < min(resolutions[96])


def test_stages_have_equally_many_widths() -> None:
    for size, limit in itertools.product(SIZES[1:], LIMITS[2:]):
        stages = space_of(size, limit).declaration.stages
        assert len({len(stage.widths) for stage in stages}) == 1


def test_auto_is_the_preset_of_own_images_and_tiny_that_of_the_digits(tmp_path) -> None:
    own = load_config(None, ["data.dataset=imagefolder", f"data.root={tmp_path}", "data.image_size=28"])
    assert own.space == load_config(None, ["space.preset=auto", "data.image_size=28", "data.dataset=cifar10",
                                           "data.root=."]).space  # fmt: skip
    assert load_config(None).space == load_config(None, ["space.preset=tiny"]).space


def test_auto_follows_a_limit_given_after_it() -> None:
    one = load_config(None, ["space.preset=auto", "data.dataset=cifar10", "data.root=.", "search.max_average_macs=0.5"])
    other = load_config(
        None, ["search.max_average_macs=0.5", "data.root=.", "data.dataset=cifar10", "space.preset=auto"]
    )
    assert one.space == other.space
    assert one.space.stages[-1].widths != space_of(32, None).declaration.stages[-1].widths


@pytest.mark.parametrize("setting", ["data.image_size=big", "search.max_average_macs=-1", "search.max_average_macs=no"])
def test_auto_leaves_wrong_settings_to_be_reported(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["space.preset=auto", "data.dataset=cifar10", "data.root=.", setting])
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(setting.partition("=")[0])


def test_plain_macs_are_those_of_the_formula() -> None:
    space = space_of(8, None)
    # stem of 5 at 8x8, blocks of 10, 10 at 4x4 (not 8), of 16, 16 at 2x2 and of 32 at 1x1, ten classes
    stem, first = 64 * 3 * 9 * 5, 16 * (5 * 9 + 5 * 10) + 16 * (10 * 9 + 10 * 10)
    second, third = 4 * (10 * 9 + 10 * 16) + 4 * (16 * 9 + 16 * 16), 16 * 9 + 16 * 32
    assert plain_macs(space.skeleton, 8, 4.0) == stem + first + second + third + 320


def test_auto_declaration_depends_on_the_channels() -> None:
    assert auto_declaration(16, 1, 0.1) != auto_declaration(16, 3, 0.1)


def test_grey_images_make_the_first_convolution_cheaper_and_the_networks_wider() -> None:
    images = ["data.dataset=imagefolder", "data.root=.", "data.image_size=32", "search.max_average_macs=0.5"]
    widths = [
        max(load_config(None, [*images, f"data.channels={channels}"]).space.stages[0].widths) for channels in ("1", "3")
    ]
    assert widths[0] >= widths[1]
    auto = load_config(None, [*images, "data.channels=auto"]).space
    assert auto == load_config(None, [*images, "data.channels=3"]).space
    assert auto != load_config(None, [*images, "data.channels=1"]).space


@pytest.mark.parametrize(
    ("size", "limit"),
    [(16, 0.9), (32, 2.5), (32, 2.0), (96, 2.5), (32, 3.0), (64, 10.0), (128, 2.0), (160, 1.5), (224, 5.0)],
)
def test_a_plain_network_uses_most_of_each_budget_without_an_exit(size: int, limit: float) -> None:
    space = space_of(size, limit)
    macs = [exit_costs(space.architecture(point), space.skeleton).backbone[-1] / 1e6 for point in plain_points(space)]
    for share, least in ((1.0, 0.88), (10**-0.5, 0.8), (0.1, 0.7)):
        assert max(one for one in macs if one <= share * limit) >= least * share * limit
