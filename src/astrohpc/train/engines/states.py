"""An optimiser's state by the names of parameters, so that any engine reads what another wrote."""

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from astrohpc.errors import ConfigError


def named(optimizer: Optimizer, names: Mapping[int, str]) -> dict[str, Any]:
    """``state_dict`` with names in the place of numbers; tensors are the optimiser's own."""
    state = optimizer.state_dict()
    order = _order(optimizer, names)
    return {
        "state": {order[number]: dict(one) for number, one in state["state"].items()},
        "param_groups": [
            group | {"params": [order[number] for number in group["params"]]}
            for group in state["param_groups"]
        ],
    }


def numbered(
    state: Mapping[str, Any], optimizer: Optimizer, names: Mapping[int, str]
) -> dict[str, Any]:
    """The way back: what ``load_state_dict`` of this optimiser takes."""
    order = _order(optimizer, names)
    ours = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    theirs = [list(group["params"]) for group in state["param_groups"]]
    if ours != theirs:
        lost = sorted({name for group in theirs for name in group} ^ set(order))
        raise ConfigError(
            "optimizer: the saved state has other parameters, or in other groups "
            f"({', '.join(lost[:3]) or 'the same names'}); load what was saved from this model."
        )
    number = {name: k for k, name in enumerate(order)}
    return {
        "state": {number[name]: one for name, one in state["state"].items()},
        "param_groups": [
            dict(group) | {"params": [number[name] for name in group["params"]]}
            for group in state["param_groups"]
        ],
    }


def _order(optimizer: Optimizer, names: Mapping[int, str]) -> list[str]:
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
