"""``build``: names to components, arguments checked against signatures; a config runs no code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from contrapose.config import build, signature
from contrapose.config.build import MISSING, check, parameters
from contrapose.errors import ConfigError
from contrapose.plugins import Registry, configure

if TYPE_CHECKING:
    from fractions import Fraction


class Net:
    """A net.

    Args:
        dim: width
            of the input.
        rates: one for each layer.
    """

    def __init__(
        self,
        dim: int,
        rate: float = 0.5,
        kind: Literal["small", "large"] = "small",
        rates: tuple[float, ...] = (),
        head: Net | None = None,
        hidden: Fraction | None = None,
        share: Annotated[float, Field(ge=0, le=1)] = 1.0,
        shared: bool = False,
        **rest: Any,
    ) -> None:
        self.dim, self.rate, self.kind, self.rates, self.head, self.rest = dim, rate, kind, rates, head, rest
        self.hidden = hidden


@dataclass
class Record:
    size: int
    names: Sequence[str] = ()


def picky(size: int = 1) -> int:
    raise ConfigError("must be even", ("size",))


@pytest.fixture(autouse=True)
def reg() -> Iterator[Registry]:
    registry = configure()
    registry.add("encoder", "net", Net)
    registry.add("encoder", "record", Record)
    registry.add("encoder", "picky", picky)
    registry.add("encoder", "half", functools.partial(Net, dim=2))
    registry.add("method", "data", {"terms": 1})
    yield registry
    configure()


def refusal(node: Any, **context: Any) -> tuple[str, tuple[str | int, ...]]:
    with pytest.raises(ConfigError) as error:
        build("encoder", node, ("encoders", "wave"), **context)
    assert "\n" not in error.value.message
    return error.value.message, error.value.path[2:]


def test_a_name_a_mapping_and_an_object() -> None:
    assert build("encoder", "net", dim=3).dim == 3
    made = build("encoder", {"use": "net", "dim": 4, "rate": 1, "rates": [1, 0.5], "kind": "large"})
    assert (made.dim, made.rate, made.rates, made.kind) == (4, 1.0, (1.0, 0.5), "large")
    assert build("encoder", made) is made
    assert build("encoder", Net, dim=5).dim == 5
    assert build("encoder", {"use": Net, "dim": 6}).dim == 6
    assert build("encoder", {"use": "record", "size": 1e2}) == Record(100)
    assert build("encoder", {"use": "half", "rate": 0.1}).dim == 2


def test_the_node_is_left_as_it_was() -> None:
    node = {"use": "net", "dim": 4}
    build("encoder", node)
    assert node == {"use": "net", "dim": 4}


def test_context_fills_only_what_the_target_takes_and_the_user_left_out() -> None:
    made = build("encoder", {"use": "net", "dim": 4}, dim=9, rate=0.25, unknown=1)
    assert (made.dim, made.rate, made.rest) == (4, 0.25, {})


@pytest.mark.parametrize(
    ("arguments", "message", "where"),
    [
        ({"rate": "abc"}, "expected a number, got 'abc'", ("rate",)),
        ({"rate": "0.5"}, "expected a number, got '0.5'", ("rate",)),
        ({"rate": True}, "expected a number, got True", ("rate",)),
        ({"rate": None}, "expected a number, got null", ("rate",)),
        ({"dim": 2.5}, "expected a whole number, got 2.5", ("dim",)),
        ({"shared": 1}, "expected true or false, got 1", ("shared",)),
        ({"shared": "yes"}, "expected true or false, got 'yes'", ("shared",)),
        ({"rates": 1}, "expected a list, got 1", ("rates",)),
        ({"rates": [1, "x"]}, "expected a number, got 'x'", ("rates", 1)),
        ({"kind": "larg"}, "expected one of 'small', 'large', got 'larg'; did you mean 'large'?", ("kind",)),
        ({"head": "x"}, "expected a Net, got 'x'", ("head",)),
        ({"share": 2}, "expected less than or equal to 1, got 2", ("share",)),
        ({"rtae": 1}, "the encoder 'net' has no argument 'rtae'; did you mean 'rate'?", ("rtae",)),
    ],
)
def test_arguments_are_checked_against_the_signature(
    arguments: dict[str, Any], message: str, where: tuple[str | int, ...]
) -> None:
    assert refusal({"use": "net", **arguments}, dim=1) == (message, where)


def test_a_hint_that_only_a_type_checker_sees_checks_nothing() -> None:
    assert build("encoder", {"use": "net", "dim": 1, "hidden": "anything"}).hidden == "anything"


def test_hints_of_fields_that_another_module_has_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataclass inherits fields, whose hints are text that speaks of names of the base's module."""
    code = """
from __future__ import annotations
from dataclasses import dataclass
from typing import Literal
Side = Literal["left", "right"]

@dataclass(kw_only=True)
class Base:
    side: Side = "left"
"""
    module = ModuleType("elsewhere")
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    exec(compile(code, "elsewhere.py", "exec"), vars(module))

    @dataclass(kw_only=True)
    class Derived(module.Base):  # type: ignore[name-defined,misc]
        count: int = 1

    hints = {p.name: p.hint for p in parameters(Derived)}
    assert hints == {"side": Literal["left", "right"], "count": int}


def test_other_refusals() -> None:
    assert refusal("net") == ("the encoder 'net' needs 'dim'", ())
    assert refusal({"rate": 1}) == ("expected the name of a component or {use: name, ...}, got {'rate': 1}", ())
    assert refusal(3) == ("expected the name of a component or {use: name, ...}, got 3", ())
    assert refusal(None)[0].endswith("got null")
    assert refusal([1])[0].endswith("got [1]")
    assert refusal({"use": 3})[0].endswith("got {'use': 3}")
    assert refusal({"use": "nett"}) == ("there is no encoder 'nett'; did you mean 'net'?", ("use",))
    assert refusal("nett")[1] == ()
    assert refusal({"use": "picky"}) == ("must be even", ("size",))


def test_data_is_returned_and_takes_no_arguments() -> None:
    assert build("method", "data") == {"terms": 1}
    with pytest.raises(ConfigError, match="'data' takes no arguments, got tau"):
        build("method", {"use": "data", "tau": 1})


def test_a_config_runs_no_code_unless_allowed(reg: Registry) -> None:
    message, where = refusal({"use": "fractions:Fraction"})
    assert message == "'fractions:Fraction' names code, which a config may run only with --allow-import"
    assert where == ("use",)
    reg.allow_import = True
    assert build("encoder", {"use": "collections:Counter"}) == {}
    assert "No module named 'no_such'" in refusal("no_such:thing")[0]
    assert "no attribute 'nothing'" in refusal("fractions:nothing")[0]


def test_signature_tells_types_defaults_and_docs() -> None:
    found = {p.name: p for p in signature("encoder", "net")}
    assert list(found) == ["dim", "rate", "kind", "rates", "head", "hidden", "share", "shared"]
    assert found["dim"].default is MISSING
    assert (found["dim"].annotation, found["dim"].doc) == ("int", "width of the input.")
    assert (found["rate"].annotation, found["rate"].default) == ("float", 0.5)
    assert found["hidden"].annotation == "Fraction | None"
    assert found["share"].annotation == "float (>= 0, <= 1)"
    assert signature("method", "data") == []


def test_modules_take_their_own_arguments() -> None:
    torch = pytest.importorskip("torch")
    found = {p.name: p for p in parameters(torch.nn.Linear)}
    assert found["in_features"].hint is int
    assert "args" not in found
    module = torch.nn.Linear(2, 2)
    assert check(module, torch.nn.Module) is module
    with pytest.raises(ConfigError, match="expected a Module, got 3"):
        check(3, torch.nn.Module)


def test_view_functions_are_built_by_their_parameters(reg: Registry) -> None:
    np = pytest.importorskip("numpy")
    from contrapose import view
    from contrapose.types import Sample

    @view("wave")
    def hum(x: Any, rng: Any, by: float = 2.0) -> Any:
        return x * by

    reg.add("view", "hum", hum)
    assert [p.name for p in signature("view", "hum")] == ["by"]
    (made,) = build("view", {"use": "hum", "by": 3})(Sample(0, {"wave": 2}), np.random.default_rng())
    assert made.data == 6
    with pytest.raises(ConfigError, match="no argument 'bye'; did you mean 'by'"):
        build("view", {"use": "hum", "bye": 3})


def test_text_where_a_list_of_texts_was_asked_for() -> None:
    def listing(names: Sequence[str]) -> Sequence[str]:
        return names

    with pytest.raises(ConfigError, match="expected a list, got 'full'"):
        build("encoder", {"use": listing, "names": "full"})
