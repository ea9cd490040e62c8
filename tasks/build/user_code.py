"""The functions and models of one's own that a pipeline names: imported, and known by their text."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from schemas.config_problems import did_you_mean
from tasks.build.shape import wrong

_HOW = "Modules are found in the project's folder, and wherever Python finds them."


def named_object(name: str, where: str) -> Any:
    """Import what `module:attribute` names.

    Raises:
        ConfigError: There is no such module or attribute, or importing it fails.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise wrong(where, f"{name!r} cannot be imported: {told}", _HOW) from error
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, vars(module))
        raise wrong(where, f"the module {module_name} has no {attribute!r}{hint}", _HOW)
    return getattr(module, attribute)


def named_function(name: str, where: str) -> Callable[[Any], Any]:
    """Import a function.

    Raises:
        ConfigError: There is no such thing, or it cannot be called.
    """
    found = named_object(name, where)
    if not callable(found):
        raise wrong(where, f"{name!r} is a {type(found).__name__}, and no function")
    function: Callable[[Any], Any] = found
    return function


def source_of(name: str, where: str) -> str:
    """Return the text of the module that `module:attribute` names; what it imports in turn is not part of it.

    Raises:
        ConfigError: It cannot be imported.
    """
    named_object(name, where)
    module = import_module(name.partition(":")[0])
    try:
        return inspect.getsource(module)
    except OSError:
        return repr(module)
