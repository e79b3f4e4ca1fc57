from aebnas_bo.config_loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.forecast import epoch_text, images_text, space_text
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.training.loop import EpochReport


def test_images_are_counted_with_classes_and_size() -> None:
    splits = load_splits(load_config(None).data)
    assert images_text(splits) == f"{len(splits.train):,} training images of 10 classes at 8x8"


def test_a_space_is_told_by_its_ends() -> None:
    space = NetworkSpace(load_config(None).space, 1, 10)
    assert space_text(space) == "space: about 10⁷ networks, without exits 16.3\u00a0k to 333\u00a0k MACs"


def test_the_first_epoch_says_how_long_all_take() -> None:
    report = EpochReport(epoch=1, epochs=30, loss=1.0, learning_rate=0.1, images_per_s=1.0, rollbacks=0)
    assert epoch_text(report, 14.2) == "epoch 1 of 30 took 14 s; the supernet takes about 7 min"
