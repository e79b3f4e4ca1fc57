"""Opening sentences of a report: search problem, progress and result."""

from __future__ import annotations

from aebnas_bo.deploy.description import KEPT_SHARE, NetworkDescription
from aebnas_bo.preparation.forecast import power_text
from aebnas_bo.report.contents import Contents, Networks
from aebnas_bo.report.number_text import SPACE, macs_text, percent_text
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import MACS_PER_MILLION
from aebnas_bo.storage.count_text import counted


def opening(contents: Contents) -> tuple[str, ...]:
    """Return the sentences as plain text."""
    sentences = [_kept(contents), _question(contents), _progress(contents)]
    if contents.is_brief:
        sentences += _after_brief_search(contents)
    if contents.networks is not None:
        sentences += _answer(contents.networks)
    return tuple(sentence for sentence in sentences if sentence)


def _after_brief_search(contents: Contents) -> list[str]:
    """Return why there are no estimates, and what the trained networks have."""
    sentences = [
        "The time budget is too short for estimates that rank networks: they are left out, and plain networks are "
        "trained instead of searched ones."
    ]
    if contents.trained:
        best = max(contents.trained, key=lambda one: (one.validation.accuracy, -one.validation.average_macs))
        which = "It" if len(contents.trained) == 1 else "The one that is most accurate on the validation images"
        sentences.append(
            f"{counted(len(contents.trained), 'network')} {'is' if which == 'It' else 'are'} trained. {which} has "
            f"{best.test.accuracy:.1f}{SPACE}% of the test images right at "
            f"{macs_text(best.test.average_macs * MACS_PER_MILLION)} average MACs."
        )
    return sentences


def _kept(contents: Contents) -> str:
    """Return what the cheapest network that keeps most of a given backbone's accuracy has; empty without a backbone.

    Trained networks come before estimates.
    """
    trained = [one for one in contents.trained if one.original is not None and one.kept_text]
    if trained:
        keeping = [one for one in trained if one.test.accuracy >= KEPT_SHARE * _test_accuracy(one)]
        best = min(keeping, key=lambda one: one.test.average_macs) if keeping else max(trained, key=_share_kept)
        return f"Network {best.key} {best.kept_text.replace(' %', f'{SPACE}%')}."
    return _estimated_to_keep(contents.networks)


def _test_accuracy(network: NetworkDescription) -> float:
    """Return the test accuracy of the given backbone of a network."""
    return 0.0 if network.original is None else network.original.test_accuracy


def _share_kept(network: NetworkDescription) -> float:
    return network.test.accuracy / _test_accuracy(network)


def _estimated_to_keep(networks: Networks | None) -> str:
    if networks is None or networks.original is None or not networks.front:
        return ""
    original = networks.original.metrics["accuracy"]
    keeping = [one for one in networks.front if one.metrics["accuracy"] >= KEPT_SHARE * original]
    found = min(keeping, key=lambda one: one.metrics["average_macs"]) if keeping else networks.front[-1]
    share = percent_text(found.metrics["accuracy"] / original) if original else "all"
    return (
        f"Network {found.key} keeps {share} of the original accuracy ({_accuracy(found)} of {original:.1f}{SPACE}%) at "
        f"{_share(found, networks)} of its average MACs{_time(found, networks.original)}, by the estimates on the "
        "validation images."
    )


def _time(found: Observation, original: Observation) -> str:
    """Return the share of the original network's time; empty if latency is not an objective."""
    if "latency_ms" not in found.metrics:
        return ""
    return (
        f" and {percent_text(found.metrics['latency_ms'] / original.metrics['latency_ms'])} of its time on this machine"
    )


def _question(contents: Contents) -> str:
    config, data, backbone = contents.run.config, contents.data, contents.run.config.space.backbone
    classes = f", {counted(len(data.classes), 'class', 'classes')}" if data is not None else ""
    images = f"{config.data.dataset}{classes}"
    if not config.space.exits:
        return f"This study searches for accurate and cheap image classifiers without early exits ({images})."
    if backbone is not None:
        return (
            f"This study searches for exits of the given network {backbone.name} ({images}): an image leaves at the "
            "first exit that is confident, which saves the cost of later layers. The goal is high accuracy with few "
            "average MACs (multiply-accumulate operations) per image."
        )
    latency = " and low latency" if "latency_ms" in config.search.objectives else ""
    return (
        f"This study searches for early-exit networks that classify images ({images}): an image leaves at the first "
        "exit that is confident, which saves the cost of later layers. The goal is high accuracy with few average MACs "
        f"(multiply-accumulate operations){latency} per image."
    )


def _progress(contents: Contents) -> str:
    run = contents.run
    done, budget = len(run.ended), run.config.search.budget
    trials = f"{done} of {counted(budget, 'trial')}"
    text = {
        "training supernet": "The supernet, whose weights all networks share, is in training; no network is evaluated.",
        "searching": f"The search is running: {trials} are done.",
        "writing results": f"{counted(done, 'trial')} of {budget} done; results are being written.",
        "finished": f"The search is finished after {counted(done, 'trial')}.",
        "stopped": f"The search was stopped after {trials}.",
    }[run.state]
    networks = contents.networks
    if networks is None:
        return text
    num_networks = len({one.key for one in networks.observed})
    images = f" on {contents.data.images['validation']} validation images" if contents.data is not None else ""
    judged = f",{images} with the shared weights of one supernet"
    if run.config.estimation.estimator is not None:
        judged = f", with the estimator {run.config.estimation.estimator}, passed from Python"
    possible = power_text(networks.space.search_space.num_discrete)
    return f"{text} It evaluated {num_networks} different networks out of about {possible}{judged}."


def _answer(networks: Networks) -> list[str]:
    if not networks.front:
        return [f"No network found meets the limits: {networks.limits}."]
    best, knee = max(networks.front, key=lambda one: one.metrics["accuracy"]), _knee(networks)
    takes = _latency(best, "; its latency is")
    sentences = [
        f"The most accurate network found has {_accuracy(best)} accuracy at {_macs(best)} average MACs, "
        f"{_share(best, networks)} of the cost of the largest network without exits{takes}."
    ]
    if knee is not None and knee is not best:
        sentences.append(
            f"A good compromise, the knee of the front, has {_accuracy(knee)} accuracy at {_macs(knee)} average MACs "
            f"({_share(knee, networks)}){_latency(knee, ' and')}."
        )
    if networks.limits:
        sentences.append(f"{networks.limits[0].upper()}{networks.limits[1:]}.")
    return sentences


def _knee(networks: Networks) -> Observation | None:
    return next((network.observed for network in networks.chosen if "knee" in network.title), None)


def _accuracy(observed: Observation) -> str:
    return f"{observed.metrics['accuracy']:.1f}{SPACE}%"


def _macs(observed: Observation) -> str:
    return macs_text(observed.metrics["average_macs"] * MACS_PER_MILLION)


def _latency(observed: Observation, before: str) -> str:
    """Return the latency after a connecting text; empty if latency is not an objective."""
    return f"{before} {observed.metrics['latency_ms']:.3g}{SPACE}ms" if "latency_ms" in observed.metrics else ""


def _share(observed: Observation, networks: Networks) -> str:
    return percent_text(observed.metrics["average_macs"] / networks.largest_macs)
