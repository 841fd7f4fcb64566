"""Writes docs/hooks.md from the hooks and the classes that their targets keep to: ``python docs/hooks.py``, or ``make docs``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import contrapose.testing
from contrapose.engine.loggers import Logger
from contrapose.evaluate.scores import Embedded, Score, Table
from contrapose.losses import head as losses
from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import PairLoss
from contrapose.losses.sets import SetLoss
from contrapose.plugins import API, KINDS, Spec, hookspecs, registry
from contrapose.relations import relation as relations
from contrapose.relations.relation import Annotator, Assigner, Weigher
from contrapose.sources import base as sources
from contrapose.sources.base import Source
from contrapose.types import Encoder, Modality, Reader, ViewGenerator
from contrapose.views.mix import BatchMixer

HERE = Path(__file__).resolve().parent
PAGE = HERE / "hooks.md"

HEAD = f"""\
<!-- Written by docs/hooks.py from the hooks and protocols (make docs). Change those, not this. -->
# Hooks

A plugin is an ordinary pip distribution with an entry point in the group `contrapose`, whose name is the **prefix** of all that
it offers and whose value is a module. The module says which contract it was written for, and implements those of the hooks below
that it needs. `contrapose new-plugin NAME` writes a whole one ([a modality of your own](custom-modality.md)). All kinds of hooks in
one module:

```python
# plugin.py
from contrapose import Spec, hookimpl

CONTRAPOSE_API = {API}


@hookimpl
def register_encoders():
    return [Spec("net", "acme_wave.nets:Net", "three layers", modality="wave", requires=("lib",))]


@hookimpl
def register_methods():
    return [Spec("pairs", "acme_wave:methods/pairs.yaml", "a wave and its echo")]


@hookimpl
def reader_for(uri):
    return "wave/tape" if uri.endswith(".tape") else None


@hookimpl
def register_commands(cli):
    @cli.command()
    def listen(file: str) -> None:
        \"\"\"Play a wave.\"\"\"
        from acme_wave.play import play

        play(file)
```

- A hook **offers**, the config chooses: hooks are asked when names are looked up, and no tensor passes through one. A plugin module
  imports neither torch nor numpy; a target is imported when it is first used.
- Full names are `prefix/name`, unique for each kind. A bare name is accepted while it is unique.
- What a component may be given in a config is its **signature**: named arguments with type hints and defaults, checked by them, and
  shown by `contrapose show KIND NAME` with what its docstring says under `Args:`.
- A plugin that fails is shown as `broken: why` by `contrapose plugins`, and stops nothing else.
- `contrapose.testing` has a contract for the kinds that say so below: subclass it in a test.

"""

USED = {
    "modality": "`modalities:` and `data:`, by the modality's name",
    "view": "`views:`, and `evaluate: {views: ...}`; a modality's view called `eval` is used there by itself",
    "encoder": "`encoders:`",
    "head": "`projector:` and `predictor:` of a branch; gets the width of its input as `dim`",
    "loss": "`loss:` of a term",
    "relation": "`positives: {assign: ...}`, `annotate:` and `attract:` of a term",
    "source": "`sources:` of a method",
    "reader": "`data: {use: ...}`, or an address that `reader_for` claims",
    "evaluator": "`evaluate: {evaluators: [...]}`; by default all that are offered, but `label-retrieval`",
    "method": "`method:`",
    "recipe": "`recipe:`",
    "logger": "`train: {loggers: [...]}`",
}

TARGETS: dict[str, tuple[type, ...]] = {
    "modality": (Modality,),
    "view": (ViewGenerator, BatchMixer),
    "encoder": (Encoder,),
    "head": (),
    "loss": (PairLoss, SetLoss, HeadLoss, losses.Step),
    "relation": (Assigner, Annotator, Weigher, relations.Step),
    "source": (Source, sources.Step),
    "reader": (Reader,),
    "evaluator": (Embedded, Table, Score),
    "method": (),
    "recipe": (),
    "logger": (Logger,),
}

TELL = {
    "modality": "The target is a class, or a function that makes an object, with these:",
    "view": "The target is a function under `@contrapose.view`, or a class or function that makes one of these:",
    "encoder": "The target is a class or function that makes an `nn.Module` with these; `pooled` is among its taps:",
    "head": """\
The target is a class or function of `dim`, and arguments of its own, that makes an `nn.Module`. Its `forward` takes `(n, dim)`,
or `(n, P, dim)` from a tap of many positions, and gives `(n, D)`, `(n, P, D)`, or either with a dict of columns for its rows.""",
    "loss": "The target is a class or function that makes one of the first three; `Step` is what a `HeadLoss` may ask of `out`:",
    "relation": "The target is a class or function that makes one of the first three; `Step` is what they may ask of `out`:",
    "source": "The target is a class or function that makes a `Source`; `Step` is what it may ask of `out`:",
    "reader": """\
The target is a class or function that makes one of these, and no `types.StreamReader`, by which the core reads streams: that one
isn't of the plugin API yet, and may change in any release. Of `path`, `uri` (where `reader_for` claimed it), `base` (the config's
folder), `modalities` (objects by name), `columns`, `meta` and `vocabularies` it gets those that its signature names:""",
    "evaluator": "The target is a function `(embedded: Embedded) -> list[Score]`:",
    "method": """\
The target is a YAML file, `"package:methods/name.yaml"`, or a function that returns the same mapping: `slots`, `branches`,
`sources`, `terms`. The function's arguments are those of `method: {use: name, ...}`; it gets `modalities` if it takes it.""",
    "recipe": """\
The target is a YAML file, `"package:recipes/name.yaml"`, of a whole run; a config that names it changes what it likes of it.""",
    "logger": "The target is a class or function that makes one of these:",
}

CONTRACTS = {"view": ("View", "Mixer")}
"""Where they aren't named like the kind."""


def page() -> str:
    """The page's text. Raises ``KeyError`` where a kind of component isn't told of above."""
    kinds = {hook: kind for kind, hook in KINDS.items()}
    hooks = list(hooks_declared())
    rows = [f"| [`{h.__name__}`](#{h.__name__}) | {kinds.get(h.__name__, '')} | {_summary(h)} |\n" for h in hooks]
    table = "| hook | kind | what it offers |\n|---|---|---|\n" + "".join(rows)
    about = f"## What a hook returns\n\n{_block(_class(Spec))}\n"
    return HEAD + table + "\n" + about + "".join(_section(hook, kinds.get(hook.__name__)) for hook in hooks)


def hooks_declared() -> Iterator[Callable[..., Any]]:
    """The hooks, in the order of their file."""
    for value in vars(hookspecs).values():
        if hasattr(value, f"{hookspecs.GROUP}_spec"):
            yield value


def signature(function: Callable[..., Any]) -> str:
    """A function's signature as its file has it: ``register_modalities() -> list[Spec]``."""
    tree = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(tree, ast.FunctionDef)
    assert tree.returns is not None
    return f"{tree.name}({ast.unparse(tree.args)}) -> {ast.unparse(tree.returns)}"


def _section(hook: Callable[..., Any], kind: str | None) -> str:
    parts = [f"## {hook.__name__}", _block(f"def {signature(hook)}: ...").rstrip(), _prose(hook)]
    if getattr(hook, f"{hookspecs.GROUP}_spec")["firstresult"]:
        parts.append("Plugins are asked one after the other; the first that doesn't return None has it.")
    if kind is not None:
        offers = [f"`{o.name}`" for o in registry().offers(kind) if o.distribution == "contrapose"]
        parts.append(f"In a config: {USED[kind]}." + _contracts(kind))
        if offers and kind != "method":  # those have a page of their own
            parts.append(f"The core's own: {', '.join(offers)}.")
        parts.append("[The core's own](methods.md)." if kind == "method" else "")
        parts.append(TELL[kind])
        parts += [_block(_class(target)).rstrip() for target in TARGETS[kind]]
    return "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _contracts(kind: str) -> str:
    names = [f"{name}Contract" for name in CONTRACTS.get(kind, (kind.capitalize(),))]
    there = [f"`{name}`" for name in names if hasattr(contrapose.testing, name)]
    return f" Checked by {' or '.join(there)}." if there else ""


def _summary(hook: Callable[..., Any]) -> str:
    return _prose(hook).partition("\n")[0].rstrip(".")


def _prose(hook: Callable[..., Any]) -> str:
    return (inspect.getdoc(hook) or "").replace("``", "`")


def _class(target: type) -> str:
    """A class as its file has it, less the bodies of its functions and what is private."""
    lines = inspect.getsource(target).splitlines()
    tree = ast.parse("\n".join(lines)).body[0]
    assert isinstance(tree, ast.ClassDef)
    first, doc, *rest = tree.lineno, *tree.body
    first = min([first, *(d.lineno for d in tree.decorator_list if "dataclass" in ast.unparse(d))])
    shown = [f"# {target.__module__}", *lines[first - 1 : doc.end_lineno], ""]
    for part in filter(_public, rest):
        if isinstance(part, ast.FunctionDef):
            shown += [*([""] if shown[-1] else []), *_head(part, lines)]
        else:
            shown += lines[part.lineno - 1 : part.end_lineno]
    return "\n".join(shown)


def _public(part: ast.stmt) -> bool:
    name = getattr(part, "name", "") or getattr(getattr(part, "target", None), "id", "")
    return name != "__init__" and (not name.startswith("_") or name.endswith("__"))


def _head(function: ast.FunctionDef, lines: list[str]) -> list[str]:
    """A function up to the end of its docstring."""
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    body = function.body[0]
    if isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant):
        return lines[first - 1 : body.end_lineno]
    *above, last = lines[first - 1 : body.lineno - 1]
    return [*above, f"{last} ..."]


def _block(code: str) -> str:
    return f"```python\n{code}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
