import pytest
import torch

from aebnas_bo.deploy import network_file
from aebnas_bo.deploy.description import NetworkFileError
from aebnas_bo.deploy.network_file import FINGERPRINT, load_network, save_network
from aebnas_bo.storage.tensor_file import save_tensors


def test_a_network_survives_its_file(make_network, tmp_path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "n.safetensors", subnet, description)
    found, again = load_network(tmp_path / "n.safetensors")
    assert again == description
    assert all(torch.equal(one, found.state_dict()[name]) for name, one in subnet.state_dict().items())


def test_sizes_are_checked_before_anything_is_read(tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(NetworkFileError, match="it states a header of 1,099,511,627,776 bytes"):
        load_network(path)
    with path.open("wb") as file:
        file.truncate(50 << 30)
    with pytest.raises(NetworkFileError, match=r"n\.safetensors cannot be read \(it holds 50 GiB, more than 1 GiB\)"):
        load_network(path)


@pytest.mark.parametrize("change", ["type", "shape", "one less", "one more"])
def test_weights_that_do_not_fit_are_refused_unread(change: str, make_network, tmp_path, monkeypatch) -> None:
    subnet, description = make_network()
    tensors = dict(subnet.state_dict())
    name = next(name for name in tensors if name.startswith("stem"))
    others = {"type": tensors[name].half(), "shape": tensors[name][None], "one more": tensors[name]}
    if change == "one less":
        del tensors[name]
    else:
        tensors["other" if change == "one more" else name] = others[change]
    save_tensors(tmp_path / "n.safetensors", tensors, {"fingerprint": FINGERPRINT, "network": description.to_json()})
    monkeypatch.setattr(network_file, "load_tensors", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(NetworkFileError, match="weights and architecture do not match"):
        load_network(tmp_path / "n.safetensors")
