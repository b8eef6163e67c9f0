"""Hierarchical neural architecture search on Ray.

    import fade_ray
    result = fade_ray.search(fade_ray.Config(...))

The names below are loaded when they are first used, so that the command line answers at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fade_ray.search.search_config import RECIPES, Config
    from fade_ray.search.search_run import Result, load_result, search

__all__ = ["RECIPES", "Config", "Result", "load_result", "search"]

_WHERE = {
    "RECIPES": "fade_ray.config",
    "Config": "fade_ray.config",
    "Result": "fade_ray.search.search_run",
    "load_result": "fade_ray.search.search_run",
    "search": "fade_ray.search.search_run",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)
