from typing import get_args

import pytest

from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, Kind, KindConvolution, LayerKind

DEPTHWISE = KindConvolution("input", is_spatial=True, is_depthwise=True)


def test_every_name_of_a_kind_has_its_convolutions() -> None:
    assert set(get_args(LayerKind)) == set(LAYER_KINDS)


def test_no_two_kinds_have_the_same_convolutions() -> None:
    # tables of measured latencies tell blocks apart by their convolutions
    shapes = {tuple((c.writes, c.is_spatial, c.is_depthwise) for c in k.convolutions) for k in LAYER_KINDS.values()}
    assert len(shapes) == len(LAYER_KINDS)


def test_only_kinds_with_hidden_channels_expand() -> None:
    assert {name for name, kind in LAYER_KINDS.items() if kind.expands} == {"inverted_residual", "convnext"}


@pytest.mark.parametrize(
    ("convolutions", "message"),
    [
        ((KindConvolution("output"),), "exactly one convolution must be spatial"),
        ((DEPTHWISE, DEPTHWISE, KindConvolution("output")), "exactly one convolution must be spatial"),
        ((DEPTHWISE,), "the last convolution must write 'output', got 'input'"),
        ((KindConvolution("hidden"), DEPTHWISE, KindConvolution("output")), "must be spatial and write 'hidden'"),
        ((KindConvolution("input", is_depthwise=True), KindConvolution("output", True)), "must be spatial and write"),
    ],
)
def test_kinds_whose_convolutions_do_not_fit_are_refused(
    convolutions: tuple[KindConvolution, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Kind(convolutions, "wrong")
