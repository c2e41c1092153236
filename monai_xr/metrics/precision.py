"""Runs a measure in single precision at least, whatever precision surrounds it: `full_precision`."""

import dataclasses
import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def full_precision(measure: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Run a measure with automatic mixed precision off, its half-precision tensors brought to float32.

    The value is then that of the images as they were rounded. Tensors in dataclasses count; float64 stays as it is.

    Args:
        measure: A function or a method.
    """

    @functools.wraps(measure)
    def measured(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with ExitStack() as stack:
            for device_type in _device_types():
                stack.enter_context(torch.autocast(device_type, enabled=False))
            widened: Any = [_widened(value) for value in args]
            named: Any = {name: _widened(value) for name, value in kwargs.items()}
            return measure(*widened, **named)

    return measured


@functools.cache
def _device_types() -> tuple[str, ...]:
    accelerator = torch.accelerator.current_accelerator()
    return ("cpu",) if accelerator is None else ("cpu", accelerator.type)


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() and value.element_size() < 4 else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        wide = {name: _widened(each) for name, each in fields.items() if isinstance(each, Tensor)}
        changed = {name: each for name, each in wide.items() if each is not fields[name]}
        return dataclasses.replace(value, **changed) if changed else value
    return value
