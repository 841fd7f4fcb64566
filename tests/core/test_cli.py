"""The command line: one line for an error, light start, commands of ours and of plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrapose.cli import main


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from contrapose.plugins import configure

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("CONTRAPOSE_DEBUG", raising=False)
    yield
    for name in [n for n in sys.modules if n.startswith("clifake")]:
        del sys.modules[name]
    configure()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plugin ``acme`` whose commands reach every kind of end; returns the folder that it lies in."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[contrapose]\nacme = clifake_acme\n")
    code = """
    from pathlib import Path
    import typer
    from contrapose import Spec, hookimpl
    CONTRAPOSE_API = 1

    @hookimpl
    def register_encoders():
        return [Spec("net", "clifake_acme:Net", "a net", requires=("no_such_module",))]

    @hookimpl
    def register_commands(cli):
        @cli.command()
        def stumble(config: Path, how: str = "config"):
            "Fail in some way."
            from contrapose.cli.common import open_config
            from contrapose.errors import ConfigError, DataError
            open_config(config)
            if how == "config":
                raise ConfigError("too\\n  large", ("train", "lr"))
            raise DataError("no rows") if how == "data" else ZeroDivisionError("a bug")

        sub = typer.Typer()
        @sub.command()
        def hello():
            print("hello")
        @sub.callback()
        def tools():
            "Tools of acme."
        cli.add_typer(sub, name="acme-tools")
    """
    (tmp_path / "clifake_acme.py").write_text(textwrap.dedent(code))
    (tmp_path / "my.yaml").write_text("data: x\ntrain:\n  lr: 1e3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    from contrapose.plugins import configure

    configure()
    return str(tmp_path)


def test_help_lists_the_commands_in_order(capsys: pytest.CaptureFixture[str], plugin: str) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("plugins ") < out.index("show ") < out.index("methods ") < out.index("stumble")
    assert "List the installed plugins" in out
    assert "Tools of acme." in out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("contrapose 0.")


def test_wrong_usage_is_2_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin"]) == 2
    assert "there is no command 'plugin'; did you mean 'plugins'?" in capsys.readouterr().err
    assert main(["show", "view"]) == 2
    assert main(["plugins", "--nope"]) == 2
    assert main([]) == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["stumble", "my.yaml"], "error: my.yaml:3: train.lr: too large\n"),
        (["stumble", "my.yaml", "--how", "data"], "error: no rows\n"),
        (["stumble", "none.yaml"], "error: there is no file none.yaml\n"),
        (["show", "encoder", "nte"], "error: there is no encoder 'nte'; did you mean 'net'?\n"),
        (["show", "encodr", "net"], "error: there is no kind of component 'encodr'; did you mean 'encoder'?\n"),
        (["show", "encoder", "acme/net", "--deny-plugin", "acme"],
         "error: there is no encoder 'acme/net': plugin acme is denied\n"),
        (["plugins", "--plugin", "none.py"], "error: there is no plugin file none.py\n"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_1(
    capsys: pytest.CaptureFixture[str], plugin: str, arguments: list[str], line: str
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err == line


def test_a_bug_keeps_its_traceback_and_debug_shows_any(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from contrapose.errors import DataError

    with pytest.raises(ZeroDivisionError):
        main(["stumble", "my.yaml", "--how", "bug"])
    with pytest.raises(DataError):
        main(["stumble", "my.yaml", "--how", "data", "--debug"])
    assert main(["stumble", "my.yaml", "--how", "data"]) == 1
    monkeypatch.setenv("CONTRAPOSE_DEBUG", "1")
    with pytest.raises(DataError):
        main(["stumble", "my.yaml", "--how", "data"])


def test_a_plugin_s_group_runs(capsys: pytest.CaptureFixture[str], plugin: str) -> None:
    assert main(["acme-tools", "hello"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_a_plugin_whose_commands_fail_costs_only_them(capsys: pytest.CaptureFixture[str], plugin: str) -> None:
    file = Path(plugin, "clifake_acme.py")
    file.write_text(file.read_text().replace("@cli.command()", "1 / 0"))
    assert main(["--help"]) == 0
    assert "stumble" not in capsys.readouterr().out
    assert main(["stumble"]) == 2


def test_plugins_as_json(capsys: pytest.CaptureFixture[str], plugin: str) -> None:
    assert main(["plugins", "--json"]) == 0
    found = {p["distribution"]: p for p in json.loads(capsys.readouterr().out)}
    assert found["contrapose"]["prefix"] is None
    assert "nce" in found["contrapose"]["offers"]["loss"]
    assert found["acme"] == {
        "distribution": "acme",
        "version": "1.0",
        "prefix": "acme",
        "status": "missing: no_such_module -> pip install no_such_module",
        "notes": [],
        "offers": {"encoder": ["acme/net"]},
    }


def test_the_table_fits_80_columns(
    capsys: pytest.CaptureFixture[str], plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "acme/net" in out
    assert "missing:" in out


def test_show_tells_what_a_component_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "loss", "nce"]) == 0
    out = capsys.readouterr().out
    assert "from     contrapose" in out
    assert "target   contrapose.losses.nce:NCE" in out
    assert "denominator: Literal['all', 'negatives', 'own'] = 'all'" in out
    assert "Contrast each anchor's positives" in out


def test_show_prints_a_preset_s_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    from contrapose.config.yaml import parse

    assert main(["show", "method", "moco-v2"]) == 0
    text = capsys.readouterr().out.partition("\n\n")[2]
    assert "queue" in parse(text, "x").data["sources"]
    assert main(["methods"]) == 0
    assert "moco-v2" in capsys.readouterr().out


def test_a_plugin_file_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "clifake_mine.py"
    file.write_text("import contrapose\n@contrapose.encoder('mine')\ndef make(dim: int = 3): 'A net of mine.'\n")
    assert main(["show", "encoder", "mine", "--plugin", str(file)]) == 0
    out = capsys.readouterr().out
    assert "encoder mine: A net of mine." in out
    assert "dim: int = 3" in out


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env={**os.environ})


def test_a_process_ends_with_one_line_and_no_traceback() -> None:
    done = run("-m", "contrapose", "show", "view", "nobody/nothing")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no view 'nobody/nothing'")
    assert len(done.stderr.splitlines()) == 1


HEAVY = ("torch", "numpy", "pyarrow", "open3d", "matplotlib", "accelerate", "sklearn")


@pytest.mark.parametrize(
    "code",
    [
        "import contrapose; contrapose.Spec, contrapose.hookimpl, contrapose.registry, contrapose.Config, contrapose.encoder",
        "import contrapose; contrapose.encoder, contrapose.loss, contrapose.modality",
        "import contrapose; dir(contrapose); contrapose.registry().plugins(); contrapose.Config.of({'data': 'x'}).run",
        "from contrapose.cli import main; assert main(['--help']) == 0",
        "from contrapose.cli import main; assert main(['plugins']) == 0",
        "from contrapose.cli import main; assert main(['plugins', '--json']) == 0",
        "from contrapose.cli import main; assert main(['methods']) == 0",
        "from contrapose.cli import main; assert main(['train', '--help']) == 0",
        "from contrapose.cli import main; assert main(['new-plugin', '--help']) == 0",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    done = run("-c", f"{code}\nimport sys; print('heavy:', [m for m in {HEAVY} if m in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_every_name_of_the_package_can_be_had() -> None:
    pytest.importorskip("torch")
    import contrapose

    assert set(contrapose.__all__) <= set(dir(contrapose))
    for name in contrapose.__all__:
        assert getattr(contrapose, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        contrapose.nothing  # noqa: B018
