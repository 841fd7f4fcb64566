"""What a person sees of a plugin that misbehaves: the line on the screen, the exit status, and training that goes on without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.end_to_end.waves import write_project

from contrapose.cli import main
from contrapose.plugins import configure

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"
HEAD = "from contrapose import Spec, hookimpl\nCONTRAPOSE_API = 1\n"


def hook(returns: str, name: str = "register_encoders") -> str:
    """A plugin module of one hook."""
    return f"{HEAD}@hookimpl\ndef {name}():\n    {returns}\n"


NET = "return [Spec('net', 'seenfake_parts:net', 'a net')]"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "seenfake_parts.py").write_text("def net(dim: int = 3):\n    return ('net', dim)\n")
    yield
    for name in [n for n in sys.modules if n.startswith("seenfake")]:
        del sys.modules[name]
    configure()


@pytest.fixture
def install(tmp_path: Path):
    def add(code: str, distribution: str = "acme", prefix: str = "") -> None:
        info, module = tmp_path / f"{distribution}-1.2.dist-info", f"seenfake_{distribution}"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[contrapose]\n{prefix or distribution} = {module}\n")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        configure()

    return add


def listed(capsys: pytest.CaptureFixture[str], distribution: str = "acme") -> dict:
    """What ``contrapose plugins --json`` says of one plugin. It always ends with 0, whatever is broken."""
    capsys.readouterr()
    assert main(["plugins", "--json"]) == 0
    return next(p for p in json.loads(capsys.readouterr().out) if p["distribution"] == distribution)


def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """``contrapose doctor``, its exit status and lines, of plugins alone: the other checks take seconds."""
    from contrapose.start import checks

    for part in ("_packages", "_torch", "_workers", "_device", "_folders"):
        monkeypatch.setattr(checks, part, lambda: iter(()))
    capsys.readouterr()
    status = main(["doctor"])
    return status, capsys.readouterr().out


BROKEN = {
    "raises at import": ("1 / 0", "can't import seenfake_acme: ZeroDivisionError: division by zero"),
    "leaves at import": ("raise SystemExit(3)", "can't import seenfake_acme: SystemExit: 3"),
    "lacks a package": ("import no_such_pack", "can't import seenfake_acme: ModuleNotFoundError: No module named 'no_such_pack'"),
    "raises at its hook": (hook("raise ValueError('not today')"), "RuntimeError: register_encoders: ValueError: not today"),
    "leaves at its hook": (hook("exit(1)"), "RuntimeError: register_encoders: SystemExit: 1"),
    "another API": ("CONTRAPOSE_API = 2", "it is for plugin API 2, this contrapose has 1; install a matching version"),
    "an older API": ("CONTRAPOSE_API = 0", "it is for plugin API 0, this contrapose has 1; install a matching version"),
    "the API as text": ("CONTRAPOSE_API = '1'", "it is for plugin API '1', this contrapose has 1; install a matching version"),
    "no API": ("", "it declares no CONTRAPOSE_API, this contrapose has 1; install a matching version"),
    "nothing": (hook("return None"), "TypeError: register_encoders: expected a list of contrapose.Spec, got None"),
    "text": (hook("return 'net'"), "TypeError: register_encoders: expected a list of contrapose.Spec, got 'net'"),
    "a list of text": (hook("return ['net']"), "TypeError: register_encoders: expected contrapose.Spec, got 'net'"),
    "a name of no text": (hook("return [Spec(7, 'a:b')]"), "TypeError: register_encoders: name of Spec(name=7,"),
    "requires as text": (
        hook("return [Spec('net', 'a:b', requires='lib')]"),
        "TypeError: register_encoders: requires of Spec 'net' must be a tuple of module names, not 'lib'",
    ),
    "a modality of no text": (
        hook("return [Spec('net', 'a:b', modality=3)]"),
        "TypeError: register_encoders: modality of Spec 'net' must be text or None, not 3",
    ),
    "a target without attribute": (
        hook("return [Spec('net', 'a.b')]"),
        "TypeError: register_encoders: target of Spec 'net' must be 'package.module:attribute', not 'a.b'",
    ),
    "a prefix of its own": (
        hook("return [Spec('core/net', 'a:b')]"),
        "TypeError: register_encoders: the name 'core/net' must be a word without '/' and ':'; the prefix is put in front of it",
    ),
    "one name twice": (
        hook("return [Spec('net', 'a:b'), Spec('net', 'a:c')]"),
        "ValueError: register_encoders: offers 'net' twice",
    ),
    "a hook that there isn't": (
        hook("return []", "register_encoder"),
        "AttributeError: there is no hook 'register_encoder'; did you mean 'register_encoders'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_with_its_reason(install, capsys, monkeypatch, code: str, why: str) -> None:
    install(code)
    assert listed(capsys)["status"].startswith(f"broken: {why}")
    assert main(["plugins"]) == 0
    assert "broken: " in capsys.readouterr().out
    status, lines = doctor(capsys, monkeypatch)
    assert status == 1
    assert f"broken plugin acme            {why}" in lines
    assert "-> pip install --upgrade contrapose acme" in lines
    assert main(["show", "encoder", "acme/net"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: there is no encoder 'acme/net': plugin acme is broken: {why}")
    assert err.count("\n") == 1


def test_training_goes_on_beside_every_broken_plugin(install, capsys, tmp_path: Path) -> None:
    for number, (code, _) in enumerate(BROKEN.values()):
        install(code, f"acme{number}")
    install("import os\nos.environ['SEEN'] = 'imported'\n" + hook("return []"), "zacme")
    config = write_project(tmp_path / "project")
    command = ["train", str(config), "--plugin", str(WAVES), "--out", str(tmp_path / "run"), "--set", "train.steps=1"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "saved in" in said.out
    assert "error" not in said.err
    assert os.environ.pop("SEEN") == "imported"


def test_a_target_that_fails_is_an_error_of_who_uses_it(install, capsys, monkeypatch, tmp_path: Path) -> None:
    install(hook(NET))
    for code, why in (("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(4)", "SystemExit: 4")):
        (tmp_path / "seenfake_parts.py").write_text(code)
        assert listed(capsys)["status"] == "ok"
        assert main(["show", "encoder", "acme/net"]) == 1
        line = f"error: the encoder 'acme/net' of acme 1.2 can't be imported from seenfake_parts:net: {why}\n"
        assert capsys.readouterr().err == line
    assert doctor(capsys, monkeypatch)[0] == 0


def test_a_package_that_a_component_needs(install, capsys, monkeypatch) -> None:
    install(hook(NET.replace("'a net'", "requires=('no_such_pack',), extra='acme[all]'")))
    assert listed(capsys)["status"] == "missing: no_such_pack -> pip install 'acme[all]'"
    status, lines = doctor(capsys, monkeypatch)
    assert status == 0
    assert "note   plugin acme            missing: no_such_pack" in lines
    assert main(["show", "encoder", "acme/net"]) == 1
    line = "error: the encoder 'acme/net' needs no_such_pack, which is not installed: pip install 'acme[all]'\n"
    assert capsys.readouterr().err == line


def test_two_plugins_of_one_name_clash_once_it_is_used(install, capsys, monkeypatch) -> None:
    install(hook(NET), "acme", "net")
    install(hook(NET), "other", "net")
    who = "the encoder 'net/net' is offered by acme 1.2 and by other 1.2: an error once it is used"
    for plugin in ("acme", "other"):
        found = listed(capsys, plugin)
        assert (found["status"], found["notes"]) == ("ok", [who])
    assert main(["plugins"]) == 0
    assert who in capsys.readouterr().out
    status, lines = doctor(capsys, monkeypatch)
    assert status == 0
    assert f"note   plugins                {who}" in lines
    assert main(["show", "encoder", "net/net"]) == 1
    line = "error: the encoder 'net/net' is offered more than once: net/net of acme 1.2 and net/net of other 1.2; "
    assert capsys.readouterr().err == f"{line}deny one with --deny-plugin\n"
    assert main(["show", "encoder", "net/net", "--deny-plugin", "other"]) == 0


def test_a_builtin_keeps_its_bare_name(install, capsys) -> None:
    install(hook("return [Spec('nce', 'seenfake_parts:net', 'not the one')]", "register_loss_heads"))
    assert listed(capsys)["notes"] == []
    assert main(["show", "loss", "nce"]) == 0
    assert "contrapose.losses.nce:NCE" in capsys.readouterr().out
    assert main(["show", "loss", "acme/nce"]) == 0
    assert "seenfake_parts:net" in capsys.readouterr().out


def test_one_module_under_two_prefixes_is_said(install, capsys, tmp_path: Path) -> None:
    install(hook(NET))
    (tmp_path / "acme-1.2.dist-info" / "entry_points.txt").write_text(
        "[contrapose]\nacme = seenfake_acme\nbcme = seenfake_acme\n"
    )
    configure()
    assert main(["plugins", "--json"]) == 0
    found = {p["prefix"]: p for p in json.loads(capsys.readouterr().out) if p["distribution"] == "acme"}
    assert found["acme"]["status"] == "ok"
    assert found["bcme"]["status"] == "broken: ValueError: its module is registered already, as acme"


def command(text: str) -> str:
    return f"""{HEAD}
@hookimpl
def register_commands(cli):
    @cli.command()
    def {text}
"""


def test_a_command_of_two_plugins_and_one_of_a_builtin_s_name(install, capsys, monkeypatch) -> None:
    install(command("polish():\n        print('by acme')"))
    install(command("polish():\n        print('by other')"), "other")
    install(command("plugins():\n        print('not ours')"), "third")
    assert main(["polish"]) == 1
    line = "error: the command 'polish' is of acme and other: set CONTRAPOSE_PLUGINS_DENY to one of them\n"
    assert capsys.readouterr().err == line
    monkeypatch.setenv("CONTRAPOSE_PLUGINS_DENY", "other")
    configure()
    assert main(["polish"]) == 0
    assert capsys.readouterr().out == "by acme\n"
    assert main(["plugins"]) == 0
    assert "not ours" not in capsys.readouterr().out


def test_what_a_plugin_prints_never_spoils_a_pipe(install, tmp_path: Path) -> None:
    install("import sys\nprint('hello from acme')\nsys.stdout.write('more')\n" + hook("print('asked'); return []"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "contrapose", "plugins", "--json"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0
    (found,) = (p for p in json.loads(done.stdout) if p["distribution"] == "acme")
    assert found["notes"] == ["prints when it is imported: 'hello from acme'"]
    assert done.stderr == "hello from acme\nmoreasked\n"


def test_a_component_that_prints_when_it_is_imported(install, capsys, tmp_path: Path) -> None:
    install(hook(NET))
    (tmp_path / "seenfake_parts.py").write_text("print('banner')\ndef net(dim: int = 3): 'A net.'\n")
    assert main(["show", "encoder", "acme/net"]) == 0
    said = capsys.readouterr()
    assert "banner" not in said.out
    assert said.err == "banner\n"


def test_a_slow_plugin_is_said_to_be_slow(install, capsys, monkeypatch) -> None:
    install("import time\ntime.sleep(0.6)\n" + hook("return []"))
    (note,) = listed(capsys)["notes"]
    assert note.startswith("slow: takes ")
    assert note.endswith(" s to import; import what a component needs in its own module")
    del sys.modules["seenfake_acme"]
    configure()
    status, lines = doctor(capsys, monkeypatch)
    assert status == 0
    assert "note   plugin acme            slow: takes " in lines


def test_a_reader_s_claim_that_is_no_name(install, capsys) -> None:
    install(f"{HEAD}@hookimpl\ndef reader_for(uri):\n    return 3\n")
    from contrapose.plugins import registry

    assert registry().manager.reader_for("x:y") is None
    status = next(p.status for p in registry().plugins() if p.prefix == "acme")
    assert status == "broken: reader_for: TypeError: returned 3, expected a reader's name or None"


@pytest.mark.parametrize(
    "content", [b"[contrapose]\nacme", b"\xff\xfe\x00", b"[contrapose]\n= os", b"[contrapose]\na = b c d"]
)
def test_a_damaged_distribution_leaves_the_others_alone(install, capsys, tmp_path: Path, content: bytes) -> None:
    install(hook(NET))
    info = tmp_path / "damaged-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 3.0\n")
    (info / "entry_points.txt").write_bytes(content)
    configure()
    assert listed(capsys, "damaged")["status"].startswith("broken: ")
    assert listed(capsys)["status"] == "ok"


def test_a_distribution_that_lost_its_metadata(install, capsys, tmp_path: Path) -> None:
    install(hook(NET))
    (tmp_path / "acme-1.2.dist-info" / "METADATA").unlink()
    configure()
    assert listed(capsys, "?")["status"] == "ok"
