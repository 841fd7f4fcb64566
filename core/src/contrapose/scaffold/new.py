"""From names to a plugin's folder. The template is a plugin that works: package ``my_plugin``, modality ``my_modality``."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path

from contrapose.errors import ContraposeError, PluginError
from contrapose.plugins import API, registry

DISTRIBUTION = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.I)
MODALITY = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """What a plugin is called: ``acme-thermal`` to pip, ``acme_thermal`` in Python, ``thermal/...`` in a config."""

    distribution: str
    package: str
    modality: str

    @classmethod
    def of(cls, name: str, modality: str | None = None) -> Names:
        """Names that pip, Python and the installed plugins accept. Raises ``PluginError``.

        ``modality`` is by default the last word of ``name``.
        """
        if not DISTRIBUTION.fullmatch(name):
            raise PluginError(
                f"{name!r} can't be a distribution: letters, digits and single hyphens, as in acme-thermal"
            )
        distribution = re.sub(r"[-_.]+", "-", name).lower()
        package = distribution.replace("-", "_")
        if not package.isidentifier() or keyword.iskeyword(package):
            raise PluginError(f"{package!r} can't be imported by Python; choose another name, as in acme-thermal")
        if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
            raise PluginError(f"there is a package {package!r} already; choose another name")
        modality = distribution.rpartition("-")[2] if modality is None else modality
        if not MODALITY.fullmatch(modality):
            raise PluginError(f"{modality!r} can't be a modality: small letters and digits, as in --modality thermal")
        for offer in registry().offers("modality"):
            if offer.spec.name == modality:
                raise PluginError(f"{offer.origin} offers the modality {modality!r}; choose another by --modality")
        for plugin in registry().plugins():
            if plugin.prefix == modality:
                raise PluginError(f"{plugin.distribution} has the prefix {modality!r}; choose another by --modality")
        return cls(distribution, package, modality)

    def fill(self, text: str) -> str:
        """A text of the template with these names in their places."""
        words = {
            "contrapose my-range": f"contrapose{releases(version('contrapose'))}",
            "my-plugin": self.distribution,
            "my_plugin": self.package,
            "my_modality": self.modality,
            "MyModality": "".join(w.capitalize() for w in re.split("[-_]", self.modality)) + "Modality",
        }
        for word, name in words.items():
            text = text.replace(word, name)
        return re.sub(r"CONTRAPOSE_API = \d+", f"CONTRAPOSE_API = {API}", text)


def releases(host: str) -> str:
    """The releases of the core with the plugin API of ``host``: ``0.1.0`` gives ``>=0.1,<1``, ``1.4.2`` ``>=1.4,<2``."""
    major, minor = (int(part) for part in host.split(".")[:2])
    return f">={major}.{minor},<{major + 1}"


def new_plugin(names: Names, where: Path) -> int:
    """Write the plugin with its data into the folder ``where``, whole or not at all; returns the number of files.

    Raises ``PluginError`` where something is there already, ``ContraposeError`` where it can't be written.
    """
    if where.exists():
        raise PluginError(f"{where} is there already; give another folder with -o")
    made = where.with_name(f".{where.name}.{os.getpid()}")
    try:
        for path, content in template():
            file = made / names.fill(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(names.fill(content), "utf-8")
        runpy.run_path(str(made / "make_data.py"), run_name="__main__")
        os.rename(made, where)
    except OSError as error:
        raise ContraposeError(f"can't write {where}: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return sum(file.is_file() for file in where.rglob("*"))


def template() -> Iterator[tuple[str, str]]:
    """The template's files: their paths with ``/``, and their texts."""
    yield from _files(resources.files("contrapose.scaffold").joinpath("template"), "")


def _caches(name: str) -> bool:
    """Whether a folder is what tools leave behind, in a checkout and where pip installs."""
    return name == "__pycache__" or (name.startswith(".") and name != ".github")


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not _caches(entry.name):
            yield from _files(entry, f"{above}{entry.name}/")
        elif entry.is_file():
            yield above + entry.name, entry.read_text("utf-8")
