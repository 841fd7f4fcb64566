"""``--plugin FILE``: a Python file of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrapose.errors import ConfigError, PluginError
from contrapose.plugins import Registry

RUNS = "from pathlib import Path\nPath('ran').touch()\nread = print\n"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("mine_"):
            del sys.modules[name]


def write(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    return file


def test_a_file_offers_the_decorated_objects_that_it_defines(tmp_path: Path) -> None:
    write(tmp_path, "mine_other", "import contrapose\n@contrapose.loss('elsewhere')\ndef elsewhere(): ...\n")
    file = write(
        tmp_path,
        "mine_parts",
        "import contrapose\nfrom mine_other import elsewhere\n"
        "@contrapose.encoder('tiny')\nclass Tiny:\n    'A tiny one.\\n\\n    More.'\n"
        "class Child(Tiny): ...\ndef plain(): ...\n",
    )
    registry = Registry()
    offers = registry.load_file(file)
    assert [(o.kind, o.name, o.spec.summary) for o in offers] == [("encoder", "tiny", "A tiny one.")]
    assert registry.load("encoder", "tiny").__name__ == "Tiny"  # type: ignore[attr-defined]
    assert registry.load_file(file) == offers
    assert registry.plugins()[-1].distribution == str(file)


def test_what_a_file_defines_can_be_pickled(tmp_path: Path) -> None:
    import pickle

    registry = Registry()
    registry.load_file(write(tmp_path, "mine_pickled", "import contrapose\n@contrapose.loss('l')\ndef l(): return 7\n"))
    assert pickle.loads(pickle.dumps(registry.load("loss", "l")))() == 7


def test_a_view_function_is_offered_under_its_name(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    registry = Registry()
    registry.load_file(
        write(
            tmp_path,
            "mine_view",
            "from contrapose import view\n@view('wave')\ndef hum(x, rng, by: float = 2.0): return x * by\n",
        )
    )
    assert registry.find("view", "hum").spec.modality == "wave"
    assert registry.load("view", "hum")(3, None) == 6.0  # type: ignore[operator]


def test_a_further_command_is_told_with_its_file(tmp_path: Path) -> None:
    registry = Registry()
    assert registry.options == ""
    file = write(tmp_path, "mine_told", "import contrapose\n@contrapose.loss('told')\ndef told(): ...\n")
    with pytest.raises(PluginError, match=r"there is no loss 'told'; .*is it in a file of yours\? --plugin FILE"):
        registry.find("loss", "told")
    registry.load_file(file)
    assert registry.options == f" --plugin {file}"
    with pytest.raises(PluginError, match="did you mean 'told'") as near:
        registry.find("loss", "tolt")
    assert "--plugin" not in str(near.value)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("mine_broken", "x = 1\ny = x / 0\n", r"mine_broken\.py:2 failed: ZeroDivisionError: division by zero"),
        ("mine_syntax", "x = 1\n\ndef (\n", r"mine_syntax\.py:3 failed: SyntaxError"),
        ("json", "x = 1\n", r"json\.py can't be imported as 'json', .*rename it"),
        ("mine-dash", "x = 1\n", r"mine-dash\.py can't be imported as 'mine-dash'.*rename it"),
    ],
)
def test_a_file_that_fails_is_one_line(tmp_path: Path, name: str, text: str, why: str) -> None:
    with pytest.raises(PluginError, match=why) as error:
        Registry().load_file(write(tmp_path, name, text))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="there is no plugin file"):
        Registry().load_file(tmp_path / "none.py")


@pytest.mark.parametrize("said", ["plugin: ./mine_named.py", "plugins: [./mine_named.py]"])
def test_a_config_names_no_plugin_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, said: str
) -> None:
    from contrapose.cli import main

    write(tmp_path, "mine_named", RUNS)
    (tmp_path / "my.yaml").write_text(f"data: things.csv\n{said}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "my.yaml"]) == 1
    assert f"my.yaml:2: {said.partition(':')[0]}: unknown key" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [("./mine_used.py", "there is no reader"), ("mine_used:read", "may run only with --allow-import")],
)
def test_a_component_of_a_config_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    from contrapose.config import build

    write(tmp_path, "mine_used", RUNS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=why):
        build("reader", {"use": name})
    assert not (tmp_path / "ran").exists()
