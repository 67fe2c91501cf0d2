"""Figures of groups that make up a whole, and whether they go together."""

from __future__ import annotations

from collections.abc import Mapping

from urm_ray.evaluation.metrics import Figure


class GroupError(ValueError):
    """Groups that do not make up the whole that is given beside them."""


def weighted_mean(values: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """The mean of groups' figures by their sizes; GroupError unless both name the same groups."""
    if values.keys() != sizes.keys() or not sum(sizes.values()):
        raise GroupError(f"figures of {', '.join(sorted(values))} do not go with sizes of {', '.join(sorted(sizes))}")
    return sum(values[name] * sizes[name] for name in values) / sum(sizes.values())


def check_whole(values: Mapping[str, float], sizes: Mapping[str, int], whole: float, tolerance: float) -> None:
    """GroupError if the whole is further from the groups' weighted mean than rounding, `tolerance`, can explain.

    An accuracy over all items is the mean of the groups' by their sizes. Where it is not, groups and whole were counted
    over different items, as in published rows of VL-RewardBench whose groups are 631, 301 and 318 in place of 183, 749
    and 318.
    """
    mean = weighted_mean(values, sizes)
    if not abs(mean - whole) <= tolerance:
        counted = ", ".join(f"{name} {sizes[name]}" for name in sizes)
        raise GroupError(f"groups of these sizes ({counted}) have {mean:.6g} together, and {whole:.6g} is given")


def check_figures(groups: Mapping[str, Figure], whole: Figure) -> None:
    """As `check_whole`, of our own figures, whose sizes have to add up too; groups with nothing in them aside."""
    filled = {name: found for name, found in groups.items() if found["n"]}
    if sum(found["n"] for found in filled.values()) != whole["n"]:
        raise GroupError(f"groups hold {[found['n'] for found in filled.values()]} items, the whole {whole['n']}")
    if whole["n"]:
        values, sizes = ({name: found[key] for name, found in filled.items()} for key in ("value", "n"))
        check_whole(values, sizes, whole["value"], 2e-6)
