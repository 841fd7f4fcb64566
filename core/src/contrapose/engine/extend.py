"""Adding modalities to a trained run: a new run's config, laid over the towers of the run that it extends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapose.config import Config, signature
from contrapose.config.build import MISSING
from contrapose.errors import CheckpointError, ConfigError, did_you_mean
from contrapose.methods.method import Method
from contrapose.methods.nodes import behind, listed, table

from . import folder
from .build import Parts
from .components import eval_view
from .fitted import load_fitted
from .recipe import lay_over, with_recipe
from .tower import parts_of, take_tower
from .trained import restored

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
    old = _Old.open(_folder(config))
    if unknown := next((m for m in dropped if m not in old.modalities), None):
        raise ConfigError(
            f"no tower of {old.where} is left out so{did_you_mean(unknown, old.modalities)}", ("modalities", unknown)
        )
    towers = [m for m in old.modalities if m not in dropped]
    made = _changed(config, _with_parts(config.data, old, towers))
    new = [m for m in made.data["encoders"] if m not in old.modalities or m not in towers]
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


@dataclass(frozen=True)
class _Old:
    """The run that is extended."""

    where: Path
    parts: Parts
    method: Method

    @classmethod
    def open(cls, where: Path) -> _Old:
        saved = folder.read_config(where)
        try:
            folder.require_rebuildable(saved)
        except CheckpointError as error:
            raise CheckpointError(f"{where} can't be extended, as no config alone rebuilds it: {error}") from None
        with saved.located():  # what isn't installed is a matter of that config's lines
            parts = Parts(saved, load_fitted(where))
            old = cls(where, parts, restored(where, parts))
        if not old.modalities:
            raise CheckpointError(f"{where} can't be extended: it trained no branch, so it has no space to join")
        return old

    @property
    def modalities(self) -> list[str]:
        """Those that it embeds."""
        return [m for m in self.parts.columns if self.method.towers.trained(m)]

    def encoder(self, modality: str) -> Any:
        """The node of a modality's encoder."""
        return self.parts.run.encoders[parts_of(self.method, modality)[1]]

    def width(self, modality: str) -> int:
        """The width of the space that it embeds a modality into."""
        return self.method.towers.widths[f"{parts_of(self.method, modality)[0]}.projected"]

    def branch(self, modality: str) -> Tree:
        """What a branch says by which a modality is embedded as it was: tap and projector, with every argument."""
        name, _, owner = parts_of(self.method, modality)
        projector = self.parts.recipe["branches"][owner]["projector"] if owner else None
        return {"tap": self.method.towers.branches[name].tap, "projector": _complete(projector)}

    def view(self, modality: str) -> Any:
        """The node of the view by which it is embedded, None where that is the data as they are."""
        return self.parts.run.evaluate.views.get(modality) or eval_view(modality, self.parts.run.views)

    def column(self, modality: str) -> Any:
        """What its config says of a modality under ``modalities``."""
        return self.parts.config.data.get("modalities", {}).get(modality, modality)

    def state(self, towers: Sequence[str], data: Mapping[str, Any]) -> Tree:
        """What it fitted and learnt for these towers, as far as a new run's views are its own."""
        fitted = self.parts.fitted_state
        views, kept = data.get("views") or {}, data["evaluate"]["views"]
        evals = {m: s for m, s in fitted.get("eval", {}).items() if m in towers and kept.get(m) == self.view(m)}
        return {
            "modalities": {m: s for m, s in fitted.get("modalities", {}).items() if m in towers},
            "eval": evals,
            "views": {m: s for m, s in evals.items() if views.get(m) == self.view(m)},
            "towers": {m: take_tower(self.method, m) for m in towers},
        }


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


def _with_parts(data: Tree, old: _Old, towers: Sequence[str]) -> Tree:
    """The config with the columns and encoders of the towers."""
    said, encoders = dict(data.get("modalities") or {}), dict(data.get("encoders") or {})
    columns = {m: _column(m, old.column(m), said.get(m)) for m in towers}
    for m in towers:
        if m in encoders and _node(encoders[m]) != _node(old.encoder(m)):
            raise ConfigError(
                f"the tower of {m} in {old.where} has the encoder {old.encoder(m)}: leave it out here", ("encoders", m)
            )
    columns |= {m: c for m, c in said.items() if m not in columns and c is not None}
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


def _with_views(data: Tree, old: _Old, towers: Sequence[str], paired: Mapping[str, str]) -> Tree:
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


def _new_heads(config: Config, recipe: Tree, old: _Old, paired: Mapping[str, str], new: Sequence[str]) -> Tree:
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
            if head is None or not isinstance(_node(head)["use"], str):
                continue
            if any(p.name == "out" for p in signature("head", _node(head)["use"])):
                if config.get(path, width) != width:
                    raise ConfigError(f"the space of {old.where} has width {width}: leave it out", path)
                laid[name] = {"projector": {"out": width}}
    return laid


def _with_branches(node: Any, laid: Tree) -> Tree:
    """A method's node with branches laid over those that it has."""
    node = {"use": node} if isinstance(node, str) else dict(node)
    return {**node, "branches": lay_over(node.get("branches") or {}, laid)}


def _complete(node: Any) -> Any:
    """A head's node with each of its defaults written down, so that no other node shows through where it is laid over one."""
    if node is None:
        return None
    node = _node(node)
    defaults = {p.name: p.default for p in signature("head", node["use"]) if p.default is not MISSING}
    return {"use": node["use"], **defaults, **node}


def _node(node: Any) -> Any:
    return dict(node) if isinstance(node, Mapping) else {"use": node}
