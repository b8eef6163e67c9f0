"""What a machine answers when it is asked whether trials can run on it.

A node is sent this file as it stands, and that of `contents`: the package may be missing there, or
be another one. So nothing in them needs more than the standard library, and an answer is plain
data.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fade_ray.records.fingerprint import QUICK, contents

PACKAGES = ("fade_ray", "searchers", "spaces")
SEEN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""What says which GPUs a process sees."""


def answer(
    folder: str | None = None, mark: str = "", data: Sequence[str] = (), name: str = "driver"
) -> dict[str, Any]:
    """What this process finds.

    `host`; `python`; `versions`: package -> version, None where nothing names one; `failed`:
    package -> why it cannot be imported; `source`: file of PACKAGES -> hash; `folder`: what is
    wrong with the run directory, None for nothing; `data`: path -> what lies there; `cuda`: how
    many GPUs torch sees; `cuda_problem`: why none.

    `mark` is what the file `.probe` in `folder` says, written by who asks; `name` tells the files
    apart that those who are asked write there.
    """
    failed = {}
    for package in (*PACKAGES, "torch"):
        try:
            importlib.import_module(package)
        except BaseException as error:  # a broken library may raise anything
            failed[package] = f"{type(error).__name__}: {error}"
    cuda, problem = (0, None) if "torch" in failed else _cuda()
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("fade-ray", "torch", "ray", "numpy")},
        "failed": failed,
        "source": {} if failed.keys() & set(PACKAGES) else source(),
        "folder": None if folder is None else _trouble(folder, mark, name),
        "data": {path: contents(Path(path), QUICK) for path in data},
        "cuda": cuda,
        "cuda_problem": problem,
    }


def answer_with_all_devices(*asked: Any) -> dict[str, Any]:
    """`answer` in a process of its own, to which Ray lent no GPU: it looks at all there are."""
    for variable in SEEN:
        os.environ.pop(variable, None)
    return answer(*asked)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def source() -> dict[str, str]:
    """Every file of the packages that would be imported here -> the beginning of its SHA-256."""
    hashes = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(place).rglob("*")):
                if path.suffix in (".py", ".j2"):
                    name = f"{package}/{path.relative_to(place).as_posix()}"
                    hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return hashes


def digest(hashes: Mapping[str, str]) -> str:
    """Of a whole source, short enough to be compared by eye."""
    told = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _trouble(place: str, mark: str, name: str) -> str | None:
    """What keeps a process from writing, flushing and renaming files in the run directory, None
    for nothing.
    """
    if "://" in place:
        return _trouble_with_store(place, mark, name)
    folder = Path(place)
    written, renamed = folder / f".probe-{name}.part", folder / f".probe-{name}"
    try:
        if (folder / ".probe").read_text() != mark:
            return "another directory lies there"
        with written.open("w") as file:
            file.write(mark)
            file.flush()
            os.fsync(file.fileno())
        os.replace(written, renamed)
        renamed.unlink()
    except FileNotFoundError:
        return "there is no such directory, or not the same one"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _trouble_with_store(address: str, mark: str, name: str) -> str | None:
    """The same of one in a store, by the package that is here."""
    try:
        objects = importlib.import_module("fade_ray.records.remote").Objects(address)
        if objects.get(".probe") != mark.encode():
            return "another directory lies there, or none"
        objects.put(f".probe-{name}", mark.encode())
        objects.delete(f".probe-{name}")
    except (ImportError, ValueError, OSError) as error:
        return str(error)
    return None


def _cuda() -> tuple[int, str | None]:
    """How many GPUs torch sees, and why it sees none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count(), None
    if torch.version.cuda is None and torch.version.hip is None:
        return 0, f"torch {torch.__version__} was built without CUDA"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:
        return 0, str(error).splitlines()[0]
    return 0, "torch sees no GPU"
