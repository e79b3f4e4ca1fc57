import pytest
from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy import standalone
from aebnas_bo.deploy.shortlist_file import SHORTLIST_FILE, read_shortlist
from aebnas_bo.deploy.training_pipeline import Candidate, choose_candidate
from aebnas_bo.errors import RunFolderInUseError, StopRequested, UsageError
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.shortlist_request import check_shortlist
from aebnas_bo.shortlist.shortlist_study import ShortListContext, read_pool, shortlisted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock

SETTINGS = ("data.max_train_images=300", "shortlist.rungs=[[3,1],[2,2]]")


@pytest.fixture
def run(tiny_run) -> RunFolder:
    return tiny_run(*SETTINGS)


@pytest.fixture
def trained(monkeypatch) -> list[tuple[str, int]]:
    """Notes which networks are trained, and for how many epochs."""
    noted, train = [], standalone.train_from_scratch

    def noting(architecture, skeleton, data, *, config, **others):
        noted.append((architecture.key, config.epochs))
        return train(architecture, skeleton, data, config=config, **others)

    monkeypatch.setattr(standalone, "train_from_scratch", noting)
    return noted


def progress(check=None, console: Console | None = None) -> RunProgress:
    return RunProgress(console or Console(stderr=True), quiet=console is None, check=check)


def candidate(run: RunFolder, *settings: str) -> Candidate:
    return choose_candidate(run, Selection("best-accuracy"), settings)


def test_the_winner_of_a_short_list_takes_the_selected_network_s_place(run: RunFolder, trained) -> None:
    selected = candidate(run)
    winner, rung_results = shortlisted(selected, 4, progress())
    assert [epochs for _, epochs in trained] == [1, 1, 1, 1, 2, 2]
    [chosen] = [one for one in rung_results if one.rung == 1 and one.is_kept]
    assert winner.observed.key == chosen.key
    assert (winner.goal, winner.problem) == (selected.goal, selected.problem)
    assert winner.observed.metrics["accuracy"] == chosen.estimate
    assert {point.key for point in read_shortlist(run.shortlist)} == {key for key, _ in trained}


def test_what_was_trained_is_not_trained_again(run: RunFolder, trained) -> None:
    first = shortlisted(candidate(run), 3, progress())
    table = (run.shortlist / SHORTLIST_FILE).read_bytes()
    (run.shortlist / SHORTLIST_FILE).unlink()
    before = len(trained)
    again = shortlisted(candidate(run), 3, progress())
    assert len(trained) == before
    assert again[1] == first[1]
    assert again[0].observed == first[0].observed
    assert (run.shortlist / SHORTLIST_FILE).read_bytes() == table


def test_a_stopped_short_list_goes_on_and_ends_the_same(run: RunFolder, trained) -> None:
    _, whole = shortlisted(candidate(run), 3, progress())
    for file in run.shortlist.rglob("*.*"):
        file.unlink()
    trained.clear()

    def stop() -> None:
        if len(trained) == 4:
            raise StopRequested(15)

    with pytest.raises(StopRequested):
        shortlisted(candidate(run), 3, progress(check=stop))
    assert len(trained) == 4  # the first rung, and the first network of the second
    _, rung_results = shortlisted(candidate(run), 3, progress())
    assert rung_results == whole
    assert trained[4] == trained[3]
    assert [epochs for _, epochs in trained[4:]] == [2, 2]


def test_other_settings_of_the_recipe_are_other_trainings(run: RunFolder, trained) -> None:
    shortlisted(candidate(run), 3, progress())
    before = len(trained)
    shortlisted(candidate(run, "final_training.batch_size=32"), 3, progress())
    assert len(trained) == 2 * before


def test_rungs_have_no_more_networks_than_the_list(run: RunFolder, trained) -> None:
    shortlisted(candidate(run, "shortlist.rungs=[[9,1],[5,2],[1,3]]"), 2, progress())
    assert [epochs for _, epochs in trained] == [1, 1, 2, 2, 3]


def test_a_search_with_fewer_networks_says_so_and_goes_on(run: RunFolder, trained) -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    shortlisted(candidate(run, "shortlist.rungs=[[9,1]]"), 99, progress(console=console))
    assert f"--shortlist 99: the search found {len(trained)} networks" in console.export_text()


def test_learned_confidences_are_trained_in_short_trainings_too(tiny_run, monkeypatch) -> None:
    learned = tiny_run(
        *SETTINGS, "space.learned_confidence=true", "estimation.confidence=learned", "supernet.joint_loss={}",
        "supernet.distillation=false", "search.max_average_macs=0.2",
    )  # fmt: skip
    recipes, train = [], standalone.train_from_scratch

    def noting(architecture, skeleton, data, *, config, **others):
        recipes.append(config)
        return train(architecture, skeleton, data, config=config, **others)

    monkeypatch.setattr(standalone, "train_from_scratch", noting)
    shortlisted(choose_candidate(learned, Selection("best-accuracy")), 2, progress())
    assert all(recipe.joint_loss is not None for recipe in recipes)


def test_another_short_list_of_the_same_run_is_refused_meanwhile(run: RunFolder) -> None:
    run.shortlist.mkdir()
    with RunLock(run.shortlist), pytest.raises(RunFolderInUseError, match="shortlist is in use by process"):
        shortlisted(candidate(run), 3, progress())


def test_the_first_rung_is_chosen_from_the_run_s_trials(run: RunFolder) -> None:
    one = candidate(run)
    contenders = read_pool(ShortListContext(run, one.problem), [one.goal]).choose(3)
    assert len({contender.key for contender in contenders}) == 3
    assert contenders[0].key == one.observed.key  # the most accurate by estimate within its own average MACs


def test_a_key_leaves_nothing_to_choose() -> None:
    with pytest.raises(UsageError, match="--select 41e7 names one network, and --shortlist 3 chooses among several"):
        check_shortlist(3, Selection("key", key="41e7"))
    check_shortlist(None, Selection("key", key="41e7"))
    check_shortlist(3, Selection("knee"))
