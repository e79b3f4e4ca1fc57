import json
from copy import deepcopy

import pytest
from pydantic import ValidationError

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.consistency import exit_problems, space_problems
from aebnas_bo.space.declaration import NetworkSpaceDeclaration

STAGE = {"widths": [4, 8], "depths": [1], "kernels": [3], "expansions": [1, 2], "stride": 2}
SPACE = {
    "resolutions": [16, 32], "stem_channels": 4, "stem_stride": 2, "head_channels": 0, "branch_stride": 2,
    "activation": "relu", "stages": [STAGE, STAGE, STAGE],
    "exits": [{"after_stage": 1, "depths": [0, 2], "layers": [{"pools": [False, True]}]}],
}  # fmt: skip


def changed(**fields: object) -> dict:
    return {**deepcopy(SPACE), **fields}


def exit_after(stage: object, **fields: object) -> dict:
    return {"after_stage": stage, "depths": [0, 1], **fields}


def test_a_consistent_space_has_no_problems() -> None:
    assert space_problems(SPACE) == []
    NetworkSpaceDeclaration.model_validate_json(json.dumps(SPACE))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"exits": [exit_after(2), exit_after(2)]}, "exits.1.after_stage: must be above 2, that of an exit before it"),
        ({"exits": [exit_after(3)]}, "exits.0.after_stage: must be at most 2, got 3"),
        ({"exits": [exit_after(1, depths=[0, 3])]}, "exits.0.layers: needs 2 entries"),
        ({"exits": [exit_after(1, threshold=None), exit_after(2)]}, "exits.0.threshold: null has this one tuned"),
        ({"squeeze_excitation": [1, 4]}, "squeeze_excitation: counts stages from 1, so that it is at most 3"),
        ({"stages": [{**STAGE, "depths": [0, 1]}, STAGE]}, "stages.0.depths: only the last stage may have depth 0"),
        # 8 pixels behind the stem of stride 2 and the stage of stride 2 of 8-pixel images are 2, and 1 in the branch
        ({"resolutions": [8, 32]}, "exits.0.layers.0.pools: at resolution 8 this layer sees 1x1 pixels"),
    ],
)
def test_every_rule_names_its_field_wherever_it_is_broken(fields: dict, problem: str) -> None:
    space = changed(**fields)
    [found] = space_problems(space)
    assert found.startswith(problem)
    with pytest.raises(ValidationError, match=problem.split(":")[1].strip()):
        NetworkSpaceDeclaration.model_validate_json(json.dumps(space))
    # as well where a single field of the same space is wrong, which a declaration reports first
    assert found in space_problems({**space, "activation": 3, "head_channels": "none"})


def test_a_layer_pools_what_an_earlier_one_has_pooled() -> None:
    # 32 pixels are 8 behind stem and stage, 4 in the first layer, 2 pooled, and 1 in the second
    twice = [{"pools": [True]}, {"pools": [True]}]
    [found] = space_problems(changed(resolutions=[32], exits=[exit_after(1, depths=[3], layers=twice)]))
    assert found.startswith("exits.0.layers.1.pools: at resolution 32 this layer sees 1x1 pixels")


@pytest.mark.parametrize(
    ("exit_", "problem"),
    [
        (exit_after(1, threshold=None, threshold_values=[0.5]), "threshold_values: need a threshold in the space"),
        (exit_after(1, threshold=[0.2, 0.4], threshold_values=[0.5]), "threshold_values: must lie within threshold"),
    ],
)
def test_thresholds_of_an_exit_fit_together(exit_: dict, problem: str) -> None:
    [found] = exit_problems(exit_)
    assert found.startswith(problem)


@pytest.mark.parametrize("wrong", [None, 3, "x", True, [], ["x"], [None], {"a": 1}, [[1]], -1])
def test_what_cannot_be_read_is_passed_over(wrong: object) -> None:
    for name in SPACE:
        space_problems(changed(**{name: wrong}))
    for name in STAGE:
        space_problems(changed(stages=[{**STAGE, name: wrong}] * 3))
    for name in ("after_stage", "depths", "layers", "threshold", "threshold_values"):
        space_problems(changed(exits=[exit_after(1, **{name: wrong}) if name != "after_stage" else exit_after(wrong)]))
    for name in ("pools", "upsamples", "kinds"):
        space_problems(changed(exits=[exit_after(1, depths=[0, 2], layers=[{"pools": [True], name: wrong}])]))
    assert exit_problems(exit_after(1, depths=[0, 3], layers="no")) == []


def test_all_mistakes_of_a_file_are_named_at_once() -> None:
    space = changed(
        stem_stride=3,
        heads=1,
        stages=[{**STAGE, "widths": [8, 4], "kernels": [2]}, {**STAGE, "depths": [0]}, {"stride": 1}],
        exits=[exit_after(3, depths=[0, 2]), exit_after(2, threshold=[0.9, 0.1])],
        squeeze_excitation=[9],
    )
    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"space={json.dumps(space)}"])
    fields = [problem.split(": ")[0] for problem in caught.value.problems]
    missing = [f"space.stages.2.{name}" for name in ("widths", "depths", "kernels", "expansions")]
    assert sorted(fields) == sorted(
        [
            "space.stem_stride", "space.heads", "space.stages.0.widths", "space.stages.0.kernels",
            "space.stages.1.depths", *missing, "space.exits.0.after_stage", "space.exits.0.layers",
            "space.exits.1.threshold", "space.squeeze_excitation",
        ]
    )  # fmt: skip
