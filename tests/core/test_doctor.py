"""`contrapose doctor`: what it says of an installation, whole or not."""

from __future__ import annotations

import json
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from contrapose.cli import main
from contrapose.plugins import configure
from contrapose.start import checks
from contrapose.start.checks import Check

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [n for n in sys.modules if n.startswith("doctorfake")]:
        del sys.modules[name]
    configure()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a distribution on the path: its module, what it asks for, and its entry point as a plugin."""

    def put(name: str, code: str, requires: tuple[str, ...] = (), plugin: bool = False) -> None:
        module = f"doctorfake_{name}"
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        asked = "".join(f"Requires-Dist: {r}\n" for r in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{asked}")
        (info / "top_level.txt").write_text(f"{module}\n")
        if plugin:
            (info / "entry_points.txt").write_text(f"[contrapose]\n{name} = {module}\n")
        (tmp_path / f"{module}.py").write_text(code)
        if str(tmp_path) not in sys.path:
            monkeypatch.syspath_prepend(str(tmp_path))

    return put


def about(found: Iterator[Check], name: str) -> list[Check]:
    return [check for check in found if check.name == name]


def test_this_installation(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever plugins lack here, the core is whole, and the exit code says what the lines say."""
    code = main(["doctor"])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    *lines, last = said.splitlines()
    states = {line.split()[1]: line.split()[0] for line in lines if not line.lstrip().startswith("->")}
    assert set(states.values()) <= {"ok", "note", "broken"}
    assert states["python"] == states["contrapose"] == states["here"] == states["cache"] == "ok"
    assert {"torch", "workers", "device"} <= set(states)
    assert (code == 0) == ("broken" not in states.values()) == (last == "all that is needed is here")


def test_json_and_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = [Check("python", "ok", "3.99"), Check("disk", "broken", "it is [full]", "make room")]
    monkeypatch.setattr(checks, "checks", lambda: iter(found))
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "disk",
        "state": "broken",
        "said": "it is [full]",
        "mend": "make room",
    }
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"ok     {'python':<22} 3.99",
        f"broken {'disk':<22} it is [full]",
        f"{'':<30}-> make room",
        "1 broken",
    ]


def test_a_check_that_fails_is_broken_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Iterator[Check]:
        raise ZeroDivisionError("a bug\nof two lines")

    for part in ("_packages", "_plugins", "_torch", "_workers", "_device"):
        monkeypatch.setattr(checks, part, lambda: iter(()))
    monkeypatch.setattr(checks, "_folders", fails)
    assert list(checks.checks())[1:] == [Check("folders", "broken", "ZeroDivisionError: a bug")]


def test_a_python_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    (found,) = checks._python()
    assert (found.state, found.said) == ("broken", "3.10.1, but contrapose needs >=3.11")


def test_packages_that_lack_do_not_fit_or_cannot_be_imported(install: Callable[..., None]) -> None:
    gone = "raise OSError('libGL.so.1: cannot open shared object file: No such file or directory')"
    asked = (
        "numpy>=99",
        "no-such-thing>=1",
        "gl-lib",
        "only-windows; sys_platform == 'nowhere'",
        "more; extra == 'all'",
    )
    install("gl_lib", gone)
    install("acme", "CONTRAPOSE_API = 1", asked, plugin=True)
    configure(allow=["acme"])
    import numpy

    found = about(checks._packages(), "acme")
    assert [(c.state, c.said, c.mend) for c in found] == [
        ("broken", f"numpy {numpy.__version__} is here, >=99 is needed", "pip install 'numpy>=99'"),
        ("broken", "no-such-thing is not installed", "pip install 'no-such-thing>=1'"),
        (
            "broken",
            "doctorfake_gl_lib can't be imported: "
            "OSError: libGL.so.1: cannot open shared object file: No such file or directory",
            "install the system's libGL.so.1, on Debian and Ubuntu likely: apt-get install libgl1",
        ),
    ]


@pytest.mark.parametrize(
    ("library", "package"),
    [("libGL.so.1", "libgl1"), ("libusb-1.0.so.0", "libusb-1.0-0"), ("libX11.so.6", "libx11-6"), ("libstdc++.so.6", "libstdc++6")],
)  # fmt: skip
def test_the_system_s_package_of_a_library(library: str, package: str) -> None:
    why = f"ImportError: {library}: cannot open shared object file: No such file or directory"
    assert checks._mend_import(why, Requirement("x")).endswith(f"apt-get install {package}")


def test_what_else_cannot_be_imported_is_installed_anew() -> None:
    assert checks._mend_import("ImportError: a half", Requirement("x>=2")) == "pip install --force-reinstall 'x>=2'"


def test_plugins_that_do_not_work(install: Callable[..., None]) -> None:
    lacks = """
from contrapose import Spec, hookimpl
CONTRAPOSE_API = 1
@hookimpl
def register_encoders():
    return [Spec("net", "x:y", requires=("no_such_module",), extra="wants[all]")]
"""
    install("old", "CONTRAPOSE_API = 99", plugin=True)
    install("wants", lacks, plugin=True)
    install("fine", lacks.replace('"no_such_module",', ""), plugin=True)
    configure(allow=["old", "wants", "fine"])
    found = {c.name: c for c in checks._plugins()}
    assert found["plugin old"] == Check(
        "plugin old",
        "broken",
        "it is for plugin API 99, this contrapose has 1; install a matching version",
        "pip install --upgrade contrapose old",
    )
    assert found["plugin wants"] == Check("plugin wants", "note", "missing: no_such_module", "pip install 'wants[all]'")
    assert found["plugin fine"] == Check("plugin fine", "ok", "1.0, 1 component")


def test_no_plugin_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    configure()
    (found,) = checks._plugins()
    assert (found.state, found.mend) == ("note", "pip install contrapose-<modality>")


def test_it_tells_what_the_cache_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path))
    monkeypatch.setattr(checks, "GIB", 1000)
    for name in ("tables/a", "b/c/d"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(bytes(600))
    cache, here = checks._folders()
    assert f"{tmp_path} can be written, holds 1.20 GiB, " in cache.said
    assert "holds" not in here.said


def test_a_cache_that_cannot_be_written_and_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    cache, here = checks._folders()
    assert (cache.name, cache.state) == ("cache", "broken")
    assert cache.said.endswith("cache can't be written: Not a directory")
    assert "CONTRAPOSE_CACHE" in cache.mend
    assert (here.state, here.said) == ("note", f"{tmp_path} can be written, 0.0 GiB free")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_workers_that_do_not_start_and_little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("unable to open shared memory object")

    monkeypatch.setattr("torch.utils.data.DataLoader", fails)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(64 * 2**20, 0, 0))
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    broken, little = checks._workers()
    assert (broken.state, broken.mend) == ("broken", "train with train.workers=0")
    assert "RuntimeError: unable to open shared memory object" in broken.said
    assert (little.state, little.said[:24]) == ("note", "shared memory is 64 MiB,")


def test_a_gpu_that_works_and_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    ones = torch.ones

    def on(*size: int, device: str) -> torch.Tensor:
        if device == "cuda:1":
            raise RuntimeError("no kernel image is available\nmore")
        return ones(*size)

    monkeypatch.setattr(torch, "ones", on)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"Card {i}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: (3 * 2**30, 4 * 2**30))
    works, fails = checks._device()
    assert (works.state, works.said) == ("ok", "Card 0, 3 of 4 GiB free, multiplies")
    assert (fails.state, fails.said) == ("broken", "Card 1: RuntimeError: no kernel image is available")


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    (found,) = checks._device()
    assert (found.state, found.said) == ("note", "CPU only, as this torch is built")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    (found,) = checks._device()
    assert "must know CUDA 13.0" in found.mend
