"""What an installation needs to work, one check each: what is so, and how to mend it."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from contrapose.plugins import registry
from contrapose.plugins.registry import clash

HOST = "contrapose"
GIB = 2**30


@dataclass(frozen=True)
class Check:
    """How ``name`` stands: ``ok``, ``note`` (works, but worth knowing) or ``broken``; what is so, and how to ``mend`` it."""

    name: str
    state: Literal["ok", "note", "broken"]
    said: str
    mend: str = ""


def checks() -> Iterator[Check]:
    """Every check, in the order in which things build on one another; one that fails itself is broken."""
    parts: dict[str, Callable[[], Iterator[Check]]] = {
        "python": _python,
        "packages": _packages,
        "plugins": _plugins,
        "torch": _torch,
        "workers": _workers,
        "device": _device,
        "folders": _folders,
    }
    for name, part in parts.items():
        try:
            yield from part()
        except Exception as error:
            yield Check(name, "broken", _brief(error))


def _python() -> Iterator[Check]:
    wanted = metadata.metadata(HOST)["Requires-Python"]
    here = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(wanted).contains(here):
        yield Check("python", "ok", here)
    else:
        yield Check("python", "broken", f"{here}, but {HOST} needs {wanted}", "make an environment of another Python")


def _packages() -> Iterator[Check]:
    """What each distribution of ours asks for: there, of a version that fits, and importable."""
    modules: dict[str, list[str]] = {}
    for module, distributions in metadata.packages_distributions().items():
        for name in set(distributions):
            modules.setdefault(_normal(name), []).append(module)
    tried: set[str] = set()
    for distribution in dict.fromkeys(
        [HOST, *(p.distribution for p in registry().plugins() if p.prefix and p.status != "denied")]
    ):
        lacking = []
        wanted = [Requirement(text) for text in metadata.requires(distribution) or ()]
        wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
        for need in wanted:
            if (why := _unfit(need)) is not None:
                lacking.append(need)
                yield Check(distribution, "broken", why, f"pip install '{need}'")
                continue
            if need.name in tried or not (names := modules.get(_normal(need.name))):
                continue
            tried.add(need.name)
            module = min(names, key=lambda name: (_normal(name) != _normal(need.name), name.startswith("_"), name))
            if (why := _not_importable(module)) is not None:
                lacking.append(need)
                yield Check(distribution, "broken", f"{module} can't be imported: {why}", _mend_import(why, need))
        if not lacking:
            yield Check(
                distribution, "ok", f"{metadata.version(distribution)}, and the {len(wanted)} packages that it asks for"
            )


def _unfit(need: Requirement) -> str | None:
    try:
        here = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return f"{need.name} is not installed"
    return (
        None
        if need.specifier.contains(here, prereleases=True)
        else f"{need.name} {here} is here, {need.specifier} is needed"
    )


def _not_importable(module: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except (Exception, SystemExit) as error:
        return _brief(error)
    return None


def _mend_import(why: str, need: Requirement) -> str:
    """For a shared library that the system lacks, the Debian package, which is called after it (Debian Policy, 8.1)."""
    library = re.search(r"(lib[\w.+-]+?)\.so\.(\d+)\S*: cannot open shared object", why)
    if library is None:
        return f"pip install --force-reinstall '{need}'"
    name, version = library.groups()
    package = f"{name}{'-' if name[-1].isdigit() else ''}{version}".lower().replace("_", "-")
    return f"install the system's {name}.so.{version}, on Debian and Ubuntu likely: apt-get install {package}"


def _plugins() -> Iterator[Check]:
    found = [p for p in registry().plugins() if p.prefix]
    if not found:
        yield Check("plugins", "note", "no modality is installed", "pip install contrapose-<modality>")
    for plugin in found:
        name = f"plugin {plugin.prefix}"
        status, _, mend = plugin.status.partition(" -> ")
        if status.startswith("broken"):
            yield Check(
                name, "broken", status.removeprefix("broken: "), f"pip install --upgrade {HOST} {plugin.distribution}"
            )
        elif status != "ok":
            yield Check(name, "note", status, mend)
        else:
            count = len(plugin.offers)
            said = f"{plugin.version}, {count} component{'s' * (count != 1)}"
            for note in plugin.notes:
                yield Check(name, "note", note, f"pip install --upgrade {plugin.distribution}, or tell its authors")
            yield Check(name, "ok", said)
    for offers in registry().clashes():
        yield Check(
            "plugins", "note", f"{clash(offers)}: an error once it is used", "uninstall one, or --deny-plugin it"
        )


def _torch() -> Iterator[Check]:
    import torch

    from contrapose.start.draft import cores

    threads = torch.get_num_threads()
    said = f"{torch.__version__}, {threads} thread{'s' * (threads > 1)} on {cores()} cores"
    if threads < cores() // 2 and os.environ.get("OMP_NUM_THREADS"):
        yield Check("torch", "note", said, "unset OMP_NUM_THREADS, or set train.threads in the config")
    else:
        yield Check("torch", "ok", said)


def _workers() -> Iterator[Check]:
    """A worker process starts and hands over a tensor, as loading does."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    context = "fork" if sys.platform == "linux" else None
    try:
        numbers = TensorDataset(torch.arange(2))
        loader = DataLoader(numbers, num_workers=1, multiprocessing_context=context, timeout=60)
        assert torch.cat([batch for (batch,) in loader]).tolist() == [0, 1]
        yield Check("workers", "ok", "a loader's process starts and hands over a tensor")
    except Exception as error:
        yield Check("workers", "broken", f"a loader's process fails: {_brief(error)}", "train with train.workers=0")
    shared = Path("/dev/shm")
    if shared.is_dir() and (total := shutil.disk_usage(shared).total) < GIB // 4:
        said = f"shared memory is {total / 2**20:.0f} MiB, little for batches from workers"
        yield Check("workers", "note", said, "docker run --shm-size=2g, or train.workers=0")


def _device() -> Iterator[Check]:
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available and torch.version.cuda is None:
        yield Check("device", "note", "CPU only, as this torch is built", "for a GPU, install a CUDA build of torch")
    elif not available:
        why = f" ({_brief(said[0].message)})" if said else ""
        mend = f"if there is a GPU: nvidia-smi must list it, its driver must know CUDA {torch.version.cuda}"
        yield Check("device", "note", f"CPU only: torch finds no CUDA device{why}", mend)
    for i in range(torch.cuda.device_count() if available else 0):
        name = f"device cuda:{i}"
        try:
            ones = torch.ones(64, 64, device=f"cuda:{i}")
            assert (ones @ ones).sum().item() == 64**3
            free, total = torch.cuda.mem_get_info(i)
        except Exception as error:
            mend = (
                "another process may fill it, or this torch may not be built for it; CUDA_VISIBLE_DEVICES leaves it out"
            )
            yield Check(name, "broken", f"{torch.cuda.get_device_name(i)}: {_brief(error)}", mend)
            continue
        yield Check(
            name, "ok", f"{torch.cuda.get_device_name(i)}, {free / GIB:.0f} of {total / GIB:.0f} GiB free, multiplies"
        )


def _folders() -> Iterator[Check]:
    from contrapose.data.cache import cache_folder

    for name, folder, mend in (
        ("cache", cache_folder(), "set CONTRAPOSE_CACHE to a folder that can be written"),
        ("here", Path.cwd(), "go to a folder that can be written"),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
        except OSError as error:
            yield Check(name, "broken", f"{folder} can't be written: {error.strerror}", mend)
            continue
        free = shutil.disk_usage(folder).free
        holds = f", holds {_held(folder) / GIB:.2f} GiB" if name == "cache" else ""
        said = f"{folder} can be written{holds}, {free / GIB:.1f} GiB free"
        yield (
            Check(name, "ok", said) if free > GIB else Check(name, "note", said, "make room: runs and caches take some")
        )


def _held(folder: Path) -> int:
    """Bytes of the files in a folder that others may be writing into."""
    held = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                held += os.lstat(os.path.join(where, name)).st_size
    return held


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _brief(error: object) -> str:
    """An error's first line, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
