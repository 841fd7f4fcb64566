"""The config's tree: overrides, lines in messages, and the validated top level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrapose.config import Config
from contrapose.errors import ConfigError

TEXT = """\
data: things.parquet
split: {column: split}
modalities: {wave: sound}
views:
  wave: wave/noise
  wave.query: {use: wave/clip, size: 3}
  other: [a, {use: b, rate: 0.5}]
method:
  use: simclr
  terms:
    info_nce: {tau: 0.2}
train:
  epochs: 5
  lr: 1e-3
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(TEXT)
    return "my.yaml"


def error_of(text: str, file: str, *overrides: str) -> str:
    """What ``contrapose`` would say of a config."""
    Path(file).write_text(text)
    config = Config.load(file, overrides)
    with pytest.raises(ConfigError) as error, config.located():
        _ = config.run
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_top_level_has_its_defaults(file: str) -> None:
    run = Config.load(file).run
    assert (run.train.epochs, run.train.lr, run.train.batch_size, run.train.optimizer) == (5, 1e-3, 128, "adamw")
    assert (run.train.precision, run.train.device, run.train.keep, run.train.drop_last) == ("fp32", "auto", 2, True)
    assert run.split is not None
    assert run.split.column == "split"
    assert run.views["other"] == ["a", {"use": "b", "rate": 0.5}]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.lr=3e-4", ("train", "lr"), 3e-4),
        ("train.clip=null", ("train", "clip"), None),
        ("train.new.deep=1", ("train", "new", "deep"), 1),
        ("method.terms.info_nce.tau=0.1", ("method", "terms", "info_nce", "tau"), 0.1),
        ("views.other.1.rate=0.9", ("views", "other", 1, "rate"), 0.9),
        ("views.other.-1.rate=0.9", ("views", "other", 1, "rate"), 0.9),
        ("views.other.0.p=1", ("views", "other", 0, "p"), 1),
        ("views.wave.query.size=7", ("views", "wave.query", "size"), 7),
        ("views.wave.sd=2", ("views", "wave", "sd"), 2),
        ("views.other=[x, y]", ("views", "other"), ["x", "y"]),
        ("out=a=b", ("out",), "a=b"),
        ("meta.label=room", ("meta", "label"), "room"),
    ],
)
def test_overrides_reach_every_place(file: str, override: str, path: tuple[Any, ...], value: object) -> None:
    config = Config.load(file, [override])
    assert config.get(path) == value
    assert config.where(path) == f"--set {override.partition('=')[0]}"


def test_an_override_inside_a_bare_name_makes_it_a_mapping(file: str) -> None:
    config = Config.load(file, ["views.wave.sd=2", "views.other.0.p=1"])
    assert config.get(("views", "wave")) == {"use": "wave/noise", "sd": 2}
    assert config.get(("views", "other", 0)) == {"use": "a", "p": 1}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", "--set train.lr: expected KEY=VALUE, such as train.lr=3e-4"),
        ("=3", "--set =3: expected KEY=VALUE"),
        ("train.lr.x=1", "--set train.lr.x: train.lr is 0.001, which has no key 'x'"),
        ("views.other.5.x=1", "--set views.other.5.x: views.other has 2 items, so there is no 5"),
        ("views.other.a.x=1", "--set views.other.a.x: views.other is a list: expected a position, got 'a'"),
        ("train.lr=[1", "--set train.lr:1: expected ',' or ']'"),
    ],
)
def test_an_override_that_fits_nowhere(file: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config.load(file, [override])
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train:", "trian:", "my.yaml:12: trian: unknown key 'trian'; did you mean 'train'?"),
        ("  lr:", "  lrr:", "my.yaml:14: train.lrr: unknown key 'lrr'; did you mean 'lr'?"),
        ("column:", "colum:", "my.yaml:2: split.colum: unknown key 'colum'; did you mean 'column'?"),
        ("lr: 1e-3", "lr: abc", "my.yaml:14: train.lr: expected a number, got 'abc'"),
        ("lr: 1e-3", "lr: '1e-3'", "my.yaml:14: train.lr: expected a number, got '1e-3'"),
        ("lr: 1e-3", "lr: true", "my.yaml:14: train.lr: expected a number, got True"),
        ("lr: 1e-3", "lr:", "my.yaml:14: train.lr: expected a number, got null"),
        ("lr: 1e-3", "lr: 0", "my.yaml:14: train.lr: expected greater than 0, got 0"),
        ("epochs: 5", "epochs: 5.5", "my.yaml:13: train.epochs: expected a whole number, got 5.5"),
        ("epochs: 5", "epochs: [5]", "my.yaml:13: train.epochs: expected a whole number, got [5]"),
        ("epochs: 5", "deterministic: 1", "my.yaml:13: train.deterministic: expected true or false, got 1"),
        ("epochs: 5", "precision: bf61", "my.yaml:13: train.precision: expected one of 'fp32', 'bf16', got 'bf61'; did you mean"),
        ("epochs: 5", "device: tpu", "my.yaml:13: train.device: expected one of 'auto', 'cpu', 'cuda', got 'tpu'"),
        ("data: things.parquet", "out: x", "my.yaml: data: is missing"),
        ("{wave: sound}", "{wave: 3}", "my.yaml:3: modalities.wave: expected text or a list or a mapping, got 3"),
        ("{wave: sound}", "[wave]", "my.yaml:3: modalities: expected a mapping, got ['wave']"),
        ("{column: split}", "{column: split, test: 0.2}", "my.yaml:2: split: column takes the split from the data"),
        ("{column: split}", "{by: group, test: 2}", "my.yaml:2: split.test: expected less than 1, got 2"),
        ("{column: split}", "nope", "my.yaml:2: split: expected a mapping, got 'nope'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_line_and_key(file: str, old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert error_of(TEXT.replace(old, new), file).startswith(message)


def test_an_override_is_blamed_by_name(file: str) -> None:
    assert error_of(TEXT, file, "train.epoch=3") == (
        "--set train.epoch: train.epoch: unknown key 'epoch'; did you mean 'epochs'?"
    )
    assert error_of(TEXT, file, "train={lr: x}").startswith("--set train: train.lr: expected a number, got 'x'")


def test_a_key_that_is_not_there_is_blamed_on_the_nearest_above(file: str) -> None:
    config = Config.load(file)
    assert config.where(("views", "wave.query", "sizes")) == "my.yaml:6"
    assert config.where(("encoders", "wave")) == "my.yaml"
    assert config.locate(ConfigError("why", ("train",))) == "my.yaml:12: train: why"
    assert Config.of({}).locate(ConfigError("why", ("train", "lr"))) == "train.lr: why"
    assert config.locate(ConfigError("why")) == "why"


def test_a_config_must_be_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:1: a config is a mapping"):
        Config.load(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("# nothing\n")
    assert Config.load(tmp_path / "b.yaml").data == {}


def test_from_python_the_tree_is_copied_and_objects_are_shared() -> None:
    reader = object()
    given: dict[str, Any] = {"data": reader, "train": {"lr": 1}}
    config = Config.of(given, ["train.lr=2"])
    assert given == {"data": reader, "train": {"lr": 1}}
    assert config.run.data is reader
    assert config.run.train.lr == 2
    again = Config.of(config, ["train.lr=3"])
    assert (config.run.train.lr, again.run.train.lr) == (2, 3)
    with pytest.raises(ConfigError, match="object objects can't be written") as error:
        config.dump()
    assert error.value.path == ("data",)


def test_none_and_whole_floats_are_understood(file: str) -> None:
    run = Config.load(file, ["split=none", "train.steps=1e4"]).run
    assert run.split is None
    assert run.train.steps == 10_000
    assert isinstance(run.train.steps, int)


def test_dump_is_the_config_again(file: str, tmp_path: Path) -> None:
    config = Config.load(file, ["train.lr=3e-4"])
    config.data["extra"] = (Path("a/b"), 1)
    (tmp_path / "again.yaml").write_text(config.dump())
    again = Config.load(tmp_path / "again.yaml")
    assert again.data == {**config.data, "extra": ["a/b", 1]}
    assert list(again.data) == list(config.data)
    assert again.data["train"]["lr"] == 3e-4


def test_a_column_may_not_take_an_identitys_name():
    with pytest.raises(ConfigError, match="'view' is a column of the core's own") as caught:
        _ = Config.of({"data": "x.parquet", "meta": {"view": "angle"}}).run
    assert caught.value.path[0] == "meta"


def test_a_components_path_is_from_the_configs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./ and ../ say that it is a path; what isn't there, a column or another text stays as it was written."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/net").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "sub/my.yaml").write_text(
        "data: ./net\nmodalities: {text: {columns: ./net, tokenizer: ../sub/net}, image: picture}\n"
        "encoders: {text: {use: e, path: ./net, of: [./net, ./gone, net, ./, ..]}}\n"
    )
    found = Config.load("../sub/my.yaml").data
    net = str(tmp_path / "sub/net")
    assert found["modalities"] == {"text": {"columns": "./net", "tokenizer": net}, "image": "picture"}
    assert found["encoders"] == {"text": {"use": "e", "path": net, "of": [net, "./gone", "net", "./", ".."]}}
    assert found["data"] == "./net", "the reader's own business"


def test_a_run_keeps_components_paths_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a config from Python, and of --set, are from the working folder."""
    from contrapose.engine.folder import resolved

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    encoders = {"wave": {"use": "e", "path": "./net"}}
    config = Config.of({"data": "d", "modalities": {"wave": "w"}, "encoders": encoders, "method": "simclr"})
    assert resolved(config)["encoders"] == {"wave": {"use": "e", "path": str(tmp_path / "net")}}
    assert config.data["encoders"] == encoders
