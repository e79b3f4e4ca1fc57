import logging

import pytest
import torch

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.estimation.table_store import MeasuredNetwork, TableStore
from aebnas_bo.storage.tensor_file import save_tensors

TABLE = ExitTable(
    torch.tensor([[0.1, 0.9], [0.5, 0.5]]), torch.tensor([[True, False], [True, True]]), (10, 3_000_000_000)
)
NETWORK = MeasuredNetwork(TABLE, {"stem.1.running_mean": torch.tensor([1.0, 2.0])})


def test_what_was_saved_is_loaded(tmp_path) -> None:
    TableStore(tmp_path / "new", "mine").save("abc", NETWORK)
    loaded = TableStore(tmp_path / "new", "mine").load("abc")
    assert loaded is not None
    assert torch.equal(loaded.table.confidence, TABLE.confidence)
    assert torch.equal(loaded.table.is_correct, TABLE.is_correct)
    assert loaded.table.is_correct.dtype == torch.bool
    assert loaded.table.macs == TABLE.macs
    assert torch.equal(loaded.statistics["stem.1.running_mean"], torch.tensor([1.0, 2.0]))


def test_an_unknown_network_is_none(tmp_path) -> None:
    assert TableStore(tmp_path / "nowhere", "mine").load("abc") is None


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b"rubbish"), lambda p: p.write_bytes(p.read_bytes()[:-5])])
def test_a_damaged_file_is_not_used_and_said_so(tmp_path, spoil, caplog) -> None:
    store = TableStore(tmp_path, "mine")
    store.save("abc", NETWORK)
    spoil(tmp_path / "abc.safetensors")
    with caplog.at_level(logging.WARNING):
        assert store.load("abc") is None
    assert "abc" in caplog.text


def test_a_file_of_other_weights_is_not_used(tmp_path) -> None:
    TableStore(tmp_path, "mine").save("abc", NETWORK)
    assert TableStore(tmp_path, "theirs").load("abc") is None


def test_a_file_copied_over_that_of_another_network_is_not_used(tmp_path, caplog) -> None:
    store = TableStore(tmp_path, "mine")
    store.save("abc", NETWORK)
    (tmp_path / "def.safetensors").write_bytes((tmp_path / "abc.safetensors").read_bytes())
    with caplog.at_level(logging.WARNING):
        assert store.load("def") is None
    assert "holds the evaluation of network abc; delete it" in caplog.text
    store.save("def", NETWORK)
    assert store.load("def") is not None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"fingerprint": "mine"}, "a network without a key"),
        ({"fingerprint": "mine", "key": "abc"}, "does not hold an exit table"),
        ({"fingerprint": "mine", "key": "abc", "network": "{}"}, "does not hold an exit table"),
    ],
)
def test_a_file_without_key_or_table_is_not_used(tmp_path, caplog, metadata: dict[str, str], message: str) -> None:
    save_tensors(tmp_path / "abc.safetensors", {"confidence": TABLE.confidence}, metadata)
    with caplog.at_level(logging.WARNING):
        assert TableStore(tmp_path, "mine").load("abc") is None
    assert message in caplog.text
