"""Nested values with tensors in them, as an optimiser has them: apart into tensors and JSON, and back."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch

_TENSOR, _ITEMS, _TUPLE = "$tensor", "$items", "$tuple"


def take_apart(value: Any, tensors: MutableMapping[str, torch.Tensor], name: str) -> Any:
    """What JSON can say of ``value``; its tensors are put into ``tensors`` under names below ``name``.

    Keys that are no text, and tuples, come back as what they were.
    """
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        items = {key: take_apart(one, tensors, f"{name}.{key}") for key, one in value.items()}
        if all(isinstance(key, str) for key in items):
            return items
        return {_ITEMS: [[key, one] for key, one in items.items()]}
    if isinstance(value, list | tuple):
        listed = [take_apart(one, tensors, f"{name}.{i}") for i, one in enumerate(value)]
        return {_TUPLE: listed} if isinstance(value, tuple) else listed
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"{name}: {type(value).__name__} cannot be saved; keep numbers, text and tensors."
    )


def put_together(plain: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The value that was taken apart."""
    if isinstance(plain, Mapping):
        if set(plain) == {_TENSOR}:
            return tensors[plain[_TENSOR]]
        if set(plain) == {_ITEMS}:
            return {key: put_together(one, tensors) for key, one in plain[_ITEMS]}
        if set(plain) == {_TUPLE}:
            return tuple(put_together(one, tensors) for one in plain[_TUPLE])
        return {key: put_together(one, tensors) for key, one in plain.items()}
    if isinstance(plain, list):
        return [put_together(one, tensors) for one in plain]
    return plain
