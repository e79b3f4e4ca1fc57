"""Verdict of a study on the estimates of whole networks."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.experiments.rank_correlation.statistics import AgainstMacs, Agreement, Interval


def verdict(found: Sequence[Agreement]) -> str:
    """Return whether estimates rank whole networks better than MACs alone, and networks of equal MACs at all.

    Args:
        found: The agreements of a study.
    """
    whole = next((entry for entry in found if entry.quantity == "accuracy"), None)
    if whole is None:
        return "The networks do not differ in accuracy: there is nothing to rank."
    if whole.against_macs is None:
        return f"All networks have equal MACs; estimates rank them with tau {interval_text(whole.kendall_tau)}."
    return f"{_on_gain(whole.against_macs.gain)} {_on_partial(whole.against_macs)}{_on_trainings(whole)}"


def interval_text(interval: Interval, is_signed: bool = False) -> str:
    """Return a statistic as `0.73 [0.55, 0.86]`, with a plus before a positive value if it is a difference."""
    value, low, high = (round(number, 2) + 0.0 for number in (interval.value, interval.low, interval.high))  # no -0.00
    return f"{value:+.2f} [{low:.2f}, {high:.2f}]" if is_signed else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _on_gain(gain: Interval) -> str:
    figures = f"tau {interval_text(gain, is_signed=True)}"
    if gain.low > 0.0:
        return f"Estimates rank these networks better than their MACs alone: {figures}."
    if gain.high < 0.0:
        return f"Estimates rank these networks worse than their MACs alone: {figures}."
    return f"Estimates are not shown to rank these networks better than their MACs alone: {figures}."


def _on_trainings(whole: Agreement) -> str:
    if whole.between_trainings is None:
        return ""
    return f" One training of these networks ranks another with tau {interval_text(whole.between_trainings)}."


def _on_partial(against: AgainstMacs) -> str:
    partial = against.partial_kendall_tau
    if partial is None:
        return "There are too few networks to say how they rank networks of equal MACs."
    figures = f"partial tau {interval_text(partial)}"
    if partial.low > 0.0:
        return f"At equal MACs they still tell better networks from worse: {figures}."
    if partial.high < 0.0:
        return f"At equal MACs they prefer worse networks: {figures}; do not choose by them."
    return (
        f"At equal MACs they are not shown to tell better networks from worse: {figures}. "
        "Compare more networks (--num-architectures) or networks of similar cost (--band), or train the supernet "
        "longer."
    )
