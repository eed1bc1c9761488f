"""A configuration as plain values, for ``config.json``, and back."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from examples.rfmid.errors import RecipeError
from examples.rfmid.files import read_json, write_json
from examples.rfmid.settings import Config

# What a run did before there was the setting, where that isn't its default.
_FORMERLY = {"loss.link": False}


def save_config(path: Path, config: Config) -> None:
    """Write ``config.json``."""
    write_json(path, config_to_dict(config))


def load_config(path: Path) -> Config:
    """Read ``config.json``; one line on stderr names the settings that are younger than the file.

    These get the values that mean what runs did without them.
    """
    try:
        values = read_json(path)
        younger = _add_younger(values)
        config = config_from_dict(values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    if younger:
        listed = ", ".join(f"{name} {value}" for name, value in younger.items())
        print(f"note: {path} is older than these settings, taken as: {listed}", file=sys.stderr)
    return config


def _add_younger(values: dict[str, Any]) -> dict[str, Any]:
    """Add to each section of `values` the settings that it lacks; return them by full name."""
    added = {}
    for section, settings in config_to_dict(Config()).items():
        stored = values.get(section)
        if isinstance(stored, dict):
            for name in settings.keys() - stored.keys():
                full = f"{section}.{name}"
                added[full] = stored[name] = _FORMERLY.get(full, settings[name])
    return dict(sorted(added.items()))


def config_to_dict(config: Config) -> dict[str, Any]:
    """Return nested dictionaries of numbers, texts, lists and None."""
    plain: dict[str, Any] = _plain(config)
    return plain


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """Return the configuration that `config_to_dict` described; each value is checked."""
    config = _build(Config, values, "")
    assert isinstance(config, Config)  # noqa: S101  # for the type checker
    return config


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Return ``section.name`` -> both values of each setting that differs."""
    left, right = config_to_dict(one), config_to_dict(other)
    return {
        f"{section}.{name}": (value, right[section][name])
        for section, settings in left.items()
        for name, value in settings.items()
        if value != right[section][name]
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _build(kind: Any, value: Any, name: str) -> Any:
    """Return `value`, read from JSON, as the type of the field `name`."""
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _build_section(kind, value, name)
    if origin is Annotated:
        return _build(get_args(kind)[0], value, name)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (option for option in get_args(kind) if option is not types.NoneType)
        return _build(kind, value, name)
    if origin is tuple and isinstance(value, list):
        items = get_args(kind)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) == len(value):
            pairs = zip(items, value, strict=True)
            return tuple(_build(item, part, name) for item, part in pairs)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is kind or (origin is Literal and isinstance(value, str)):
        return value
    raise RecipeError(f"{name} can't be {value!r}")


def _build_section(kind: Any, values: Any, name: str) -> Any:
    if not isinstance(values, Mapping):
        raise RecipeError(f"{name} must hold settings, got {values!r}")
    hints = get_type_hints(kind, include_extras=True)
    prefix = f"{name}." if name else ""
    unknown, absent = sorted(set(values) - set(hints)), sorted(set(hints) - set(values))
    if unknown or absent:
        raise RecipeError(
            f"{f'in {name}: ' if name else ''}unknown settings: {', '.join(unknown) or 'none'}; "
            f"absent: {', '.join(absent) or 'none'}"
        )
    return kind(**{key: _build(hint, values[key], prefix + key) for key, hint in hints.items()})
