"""Adding modalities to a trained run: a new run's config, laid over the towers of the run that it extends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrapose.config import Config, signature
from contrapose.errors import ConfigError, did_you_mean
from contrapose.methods.nodes import behind, listed, table

from .build import Parts
from .old_run import OldRun, as_mapping
from .recipe import lay_over, with_recipe

Tree = dict[str, Any]


def prepared(config: Config) -> Parts:
    """The parts of a new run by its config, laid over its recipe, and over the run that it extends.

    Raises:
        ConfigError: what the config says of an old tower isn't so, it adds nothing, or its pairs join nothing new to it.
        CheckpointError: there is no run to extend, or it can't be read.
    """
    config = with_recipe(config)
    if config.data.get("extend") is None:
        return Parts(config)
    if not isinstance(config.data["extend"], str):
        raise ConfigError("expected the folder of a run", ("extend",))
    said = config.data.get("modalities") or {}
    dropped = {m for m, column in said.items() if column is None} if isinstance(said, Mapping) else set()
    kept = {m: column for m, column in said.items() if m not in dropped} if dropped else said
    _ = _changed(config, {**config.data, "modalities": kept}).run  # what is no config at all is said of its own lines
    old = OldRun.open(_folder(config))
    if unknown := next((m for m in dropped if m not in old.modalities), None):
        raise ConfigError(
            f"no tower of {old.where} is left out so{did_you_mean(unknown, old.modalities)}", ("modalities", unknown)
        )
    towers = [m for m in old.modalities if m not in dropped]
    made = _changed(config, _with_parts(config.data, old, towers))
    new = [m for m in made.data["modalities"] if m not in towers]
    if not new:
        raise ConfigError(f"adds no modality to {', '.join(towers)}: give the new one its encoder", ("encoders",))
    recipe = Parts(made).recipe
    paired = _paired(recipe, towers)
    _require_joined(recipe, paired, towers, new)
    data = _with_views(made.data, old, towers, paired)
    branches = {m: old.branch(m) | ({} if m in paired else {"views": f"{m}/*"}) for m in towers}
    laid = {paired.get(m, m): b for m, b in branches.items()} | _new_heads(made, recipe, old, paired, new)
    train = dict(data.get("train") or {})
    frozen = train.get("frozen", dict.fromkeys(towers, "tower"))
    if isinstance(frozen, Mapping):  # nothing would ever move a tower that no pair joins
        train["frozen"] = {**frozen, **{m: "tower" for m in towers if m not in paired}}
    data |= {"method": _with_branches(data["method"], laid), "train": train, "extend": str(old.where.resolve())}
    return Parts(_changed(config, data), inherited=old.state(towers, data))


def _changed(config: Config, data: Tree) -> Config:
    """A config that holds ``data``, and knows the lines of ``config``."""
    made = Config.of(config)
    made.data = data
    return made


def _folder(config: Config) -> Path:
    """Where the run is: relative to the config's file, or else to the working folder. Raises ``ConfigError``."""
    said = Path(config.data["extend"])
    near = config.source.parent / said if config.source else said
    where = near if near.exists() else said
    if not (where / "config.yaml").is_file():
        runs = [str(f.parent) for f in where.parent.glob("*/config.yaml")]
        raise ConfigError(f"{said} is no run{did_you_mean(str(where), runs)}", ("extend",))
    return where


def _with_parts(data: Tree, old: OldRun, towers: Sequence[str]) -> Tree:
    """The config with the columns and encoders of the towers."""
    said, encoders = dict(data.get("modalities") or {}), dict(data.get("encoders") or {})
    columns = {m: _column(m, old.column(m), said.get(m)) for m in towers}
    for m in towers:
        if m in encoders and as_mapping(encoders[m]) != as_mapping(old.encoder(m)):
            raise ConfigError(
                f"the tower of {m} in {old.where} has the encoder {old.encoder(m)}: leave it out here", ("encoders", m)
            )
    columns |= {m: c for m, c in said.items() if m not in columns and c is not None}
    if columns.keys() == {*towers}:  # where no column is named, as in any config, encoders name them
        columns |= {m: m for m in encoders if m not in columns}
    return {**data, "modalities": columns, "encoders": {**{m: old.encoder(m) for m in towers}, **encoders}}


def _column(modality: str, old: Any, said: Any) -> Any:
    """An old modality's columns, which the new data may name otherwise, with its arguments, which they may not."""
    if said is None:
        return old
    before = dict(old) if isinstance(old, Mapping) else {"columns": old}
    after = dict(said) if isinstance(said, Mapping) else {"columns": said}
    for key, value in after.items():
        if key != "columns" and before.get(key) != value:
            raise ConfigError(
                f"the tower was trained with {before.get(key)!r}: leave it out here", ("modalities", modality, key)
            )
    return before | after


def _with_views(data: Tree, old: OldRun, towers: Sequence[str], paired: Mapping[str, str]) -> Tree:
    """The config with the towers' views: those by which they embed, in training none of a tower that no pair joins."""
    views, evaluate = dict(data.get("views") or {}), dict(data.get("evaluate") or {})
    by = dict(evaluate.get("views") or {})
    for m in towers:
        node = old.view(m)
        if not any(key.partition(".")[0] == m for key in views):
            if m not in paired:
                views[m] = "none"
            elif node is not None:
                views[m] = node
        if node is not None:
            by.setdefault(m, node)
    return {**data, "views": views, "evaluate": {**evaluate, "views": by}}


def _paired(recipe: Tree, towers: Sequence[str]) -> dict[str, str]:
    """The trained branch of each tower that the new method has one for."""
    found: dict[str, str] = {}
    for m in towers:
        own = _branches_of(recipe, m)
        if len(own) > 1:
            raise ConfigError(f"{', '.join(own)} are all branches of {m}: an old tower is one", ("method", "branches"))
        if own:
            found[m] = own[0]
    return found


def _branches_of(recipe: Tree, modality: str) -> list[str]:
    """The trained branches that take a modality's views, which must be those of that modality alone."""
    found = []
    for name, branch in recipe.get("branches", {}).items():
        globs = listed(branch.get("views", ()))
        takes = {glob.partition("/")[0] if "/" in glob else "*" for glob in globs}
        if branch.get("of") is not None or not (modality in takes or any(set(t) & set("*?[") for t in takes)):
            continue
        if takes != {modality}:
            raise ConfigError(
                f"the branch {name!r} takes views like {', '.join(globs)}, of {modality} among others: a run is extended by a "
                "method with a branch for each modality, such as hub, clip or pair-graph",
                ("method",),
            )
        found.append(name)
    return found


def _require_joined(recipe: Tree, paired: Mapping[str, str], towers: Sequence[str], new: Sequence[str]) -> None:
    """Raise for a new modality that no term joins, if need be through others, to an old one."""
    groups = []
    for term in recipe.get("terms", {}).values():
        refs = [*listed(term.get("query", ())), *(table(k) for k in listed(term.get("keys", ())))]
        names = {*behind(recipe, refs)}
        groups.append(names | {recipe["branches"].get(name, {}).get("of") or name for name in names})
    reached = {*paired.values()}
    while grown := [g for g in groups if g & reached and not g <= reached]:
        reached |= set().union(*grown)
    for m in new:
        own = _branches_of(recipe, m)
        if not reached & {*own}:
            raise ConfigError(
                f"no pair joins {m} to a tower of the old run: pair it with one ({' or '.join(towers)})", ("method",)
            )


def _new_heads(config: Config, recipe: Tree, old: OldRun, paired: Mapping[str, str], new: Sequence[str]) -> Tree:
    """For each new branch the width of the old space, where its projector takes one and the config names none."""
    widths = {old.width(m) for m in paired}
    if len(widths) != 1:
        return {}
    width = widths.pop()
    said = config.get(("method", "out"))
    if said is not None and said != width:
        raise ConfigError(f"the space of {old.where} has width {width}: leave it out", ("method", "out"))
    laid = {}
    for m in new:
        for name in _branches_of(recipe, m):
            head = recipe["branches"][name].get("projector")
            path = ("method", "branches", name, "projector", "out")
            if head is None or not isinstance(as_mapping(head)["use"], str):
                continue
            if any(p.name == "out" for p in signature("head", as_mapping(head)["use"])):
                if config.get(path, width) != width:
                    raise ConfigError(f"the space of {old.where} has width {width}: leave it out", path)
                laid[name] = {"projector": {"out": width}}
    return laid


def _with_branches(node: Any, laid: Tree) -> Tree:
    """A method's node with branches laid over those that it has."""
    node = {"use": node} if isinstance(node, str) else dict(node)
    return {**node, "branches": lay_over(node.get("branches") or {}, laid)}
