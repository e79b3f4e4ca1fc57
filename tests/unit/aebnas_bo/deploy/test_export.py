import json

import pytest
import torch

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.analysis.stored_choice import stored_choice
from aebnas_bo.deploy import load, training_folders
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.export import export_network, trained_network
from aebnas_bo.deploy.model_card import model_card
from aebnas_bo.deploy.network_file import load_network, save_network
from aebnas_bo.deploy.stored_trainings import check_is_trained
from aebnas_bo.errors import StopRequested, UsageError
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder


def test_export_leaves_network_description_and_card(make_network, tmp_path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    path = export_network(tmp_path / "network.safetensors", "torch", tmp_path / "deep" / "torch")
    assert load(path).description == description
    assert load(path.parent).description == description
    assert NetworkDescription.from_json((path.parent / "network.json").read_text(), "file") == description
    assert "# Early-exit network" in (path.parent / "MODEL_CARD.md").read_text()
    assert path.stat().st_mode & 0o044 == 0o044  # others may read it


def test_weights_of_a_dropped_tail_are_not_exported(make_network, pixels, tmp_path) -> None:
    subnet, description = make_network(thresholds=(0.5, 0.0))
    save_network(tmp_path / "network.safetensors", subnet, description)
    whole = load_network(tmp_path / "network.safetensors")[0]
    assert whole.state_dict().keys() == subnet.state_dict().keys()  # later tunings may need the tail
    path = export_network(tmp_path / "network.safetensors", "torch", tmp_path / "torch")
    exported, _ = load_network(path)
    tail = subnet.state_dict().keys() - exported.state_dict().keys()
    assert {name.partition(".")[0] for name in tail} == {"stages", "head"}
    assert {name for name in tail if name.startswith("stages.")} == {n for n in whole.state_dict() if "stages.2." in n}
    answers = [load(one).predict(pixels).logits for one in (tmp_path / "network.safetensors", path)]
    assert torch.equal(*answers)


def test_a_file_that_lacks_a_head_it_needs_is_refused(make_network, tmp_path) -> None:
    subnet, description = make_network()
    subnet.head = torch.nn.Sequential()
    save_network(tmp_path / "network.safetensors", subnet, description)
    with pytest.raises(NetworkFileError, match="weights and architecture do not match"):
        load_network(tmp_path / "network.safetensors")


def test_the_folder_of_the_training_is_not_exported_to(make_network, tmp_path) -> None:
    save_network(tmp_path / "network.safetensors", *make_network(thresholds=(0.5, 0.0)))
    with pytest.raises(UsageError, match="is the folder of the training; use another folder"):
        export_network(tmp_path / "network.safetensors", "torch", tmp_path)


def test_an_export_that_is_stopped_leaves_nothing(make_network, tmp_path, monkeypatch) -> None:
    source, out = tmp_path / "network.safetensors", tmp_path / "exported" / "key" / "torch"
    save_network(source, *make_network())

    def stop() -> None:
        raise StopRequested(15)

    # a library swallowed the signal, or it strikes while the last file is written
    with pytest.raises(StopRequested):
        export_network(source, "torch", out, check=stop)
    assert list(tmp_path.iterdir()) == [source]
    with monkeypatch.context() as striking:
        striking.setattr("aebnas_bo.deploy.export.model_card", lambda *_: stop())
        with pytest.raises(StopRequested):
            export_network(source, "torch", out)
    assert list(tmp_path.iterdir()) == [source]
    before = export_network(source, "torch", out).read_bytes()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(StopRequested):
        export_network(source, "torch", out, check=stop)
    assert {path.name for path in out.iterdir()} == {
        "MODEL_CARD.md",
        "network.json",
        "network.safetensors",
        "notes.txt",
    }
    assert (out / "network.safetensors").read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_a_folder_that_cannot_be_made_is_named(make_network, tmp_path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    with pytest.raises(UsageError, match=r"cannot be written \(Not a directory\)"):
        export_network(tmp_path / "network.safetensors", "torch", tmp_path / "network.safetensors" / "below")


def test_the_best_training_is_taken_unless_a_seed_is_named(make_network, own_run, monkeypatch) -> None:
    monkeypatch.setattr(training_folders, "_description", lambda file: load_network(file)[1])  # of any network
    with TrialStore.open(own_run.study) as store:
        key = store.trials()[0].key
    selection = Selection("key", key=key)
    with pytest.raises(
        UsageError, match=rf"network {key} is not trained yet; first: aebnas-bo train .* --select '{key}'"
    ):
        trained_network(own_run, selection, None)
    subnet, description = make_network()
    trainings = (
        (0, "", "aaa111", 80.0),
        (1, "", "aaa111", 90.0),
        (2, "", "aaa111", 85.0),
        (2, "-bbb222", "bbb222", 88.0),
    )
    for seed, ending, recipe, accuracy in trainings:
        folder = own_run.trained / f"{key}-seed{seed}{ending}"
        folder.mkdir(parents=True)
        changes = {
            "validation": description.validation.model_copy(update={"accuracy": accuracy}),
            "origin": description.origin.model_copy(update={"seed": seed, "recipe": recipe}),
        }
        save_network(folder / "network.safetensors", subnet, description.model_copy(update=changes))
    assert trained_network(own_run, selection, None).parent.name == f"{key}-seed1"
    assert trained_network(own_run, selection, 2).parent.name == f"{key}-seed2-bbb222"
    assert trained_network(own_run, selection, 2, recipe="aaa111").parent.name == f"{key}-seed2"
    assert trained_network(own_run, selection, None, recipe="bbb222").parent.name == f"{key}-seed2-bbb222"
    with pytest.raises(UsageError, match=rf"network {key} is not trained yet with seed 3; first: .* --seeds 3"):
        trained_network(own_run, selection, 3)
    with pytest.raises(UsageError, match=r"--recipe ccc333: .* no such training; its recipes are aaa111 \(seed 0\)"):
        trained_network(own_run, selection, None, recipe="ccc333")
    observed = stored_choice(own_run, selection)
    for seed, recipe in ((None, None), (2, None), (2, "bbb222"), (None, "aaa111")):
        check_is_trained(own_run, selection, observed, seed=seed, recipe=recipe)
    with pytest.raises(UsageError, match="is not trained yet with seed 3"):
        check_is_trained(own_run, selection, observed, seed=3, recipe=None)
    with pytest.raises(UsageError, match=r"--recipe bbb222: .*its recipes are aaa111 \(seed 0\), aaa111 \(seed 1\)"):
        check_is_trained(own_run, selection, observed, seed=1, recipe="bbb222")
    (own_run.trained / f"{key}-seed0" / "network.safetensors").write_bytes(b"damaged")
    check_is_trained(own_run, selection, observed, seed=7, recipe=None)  # the error of the file says more
    with pytest.raises(NetworkFileError, match="cannot be read"):
        trained_network(own_run, selection, 7)


def test_a_folder_without_a_study_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        trained_network(RunFolder(tmp_path), Selection("knee"), None)


def test_card_names_figures_classes_and_limits(make_network) -> None:
    _, description = make_network()
    card = model_card(description, "network.onnx")
    for part in ("**90.00 %**", "0.02 M MACs", "exit1 | 0.5000", "final classifier | –", "\\<b\\>emu", "10 x 10",
                 "processed at 8 x 8", 'load("network.onnx")', "2 early exits", "1.00"):  # fmt: skip
        assert part in card, part
    _, plain = make_network(thresholds=(None, None))
    assert "It has no early exits." in model_card(plain, "network.onnx")
    _, ended = make_network(thresholds=(0.5, 0.0))
    card = model_card(ended, "network.onnx")
    for part in (
        "1 early exit:",
        "The network ends at exit2, which takes all remaining",
        "exit2, where the network ends | –",
    ):
        assert part in card, part
    assert "final classifier" not in card


def test_json_is_the_whole_description(make_network) -> None:
    _, description = make_network()
    document = json.loads(description.to_json())
    for name in ("class_names", "mean", "std", "image_size", "outputs", "confidence", "exit_rule", "key"):
        assert name in document
