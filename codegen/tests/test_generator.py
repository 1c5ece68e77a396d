"""Parts of the generator: the YAML it reads, the features that targets declare, and the layout it computes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from mullama_codegen import features, load, strict_yaml, targets
from mullama_codegen.api import Api
from mullama_codegen.build import load_api
from mullama_codegen.messages import SpecError
from mullama_codegen.targets import c
from mullama_codegen.targets.c.layout import layout, members

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def fixture_api() -> Api:
    return load_api(load.REPOSITORY / "abi/fixture/spec")


@pytest.fixture(scope="module")
def small() -> Api:
    return load_api(HERE / "golden/spec", HERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: off", {"on": "off"}),
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("1e-5", 1e-5),
        ("-.inf", float("-inf")),
        ("012", 12),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("2026-11-21", "2026-11-21"),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert strict_yaml.read(text) == value
    assert type(strict_yaml.read(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["a: &x 1", "a: {b: *x}", "!!python/name:os.system {}", "a: 1\na: 2", "a: [", "<<: {a: 1}"]
)
def test_other_yaml_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: "):
        strict_yaml.read(text)


def test_the_fixture_uses_every_feature_that_the_c_target_knows(fixture_api: Api) -> None:
    # Routes need an engine behind them: each language tries them on the library itself.
    assert c.supports - features.used(fixture_api).keys() == {"handle_in_options", "object", "route"}


def test_a_feature_that_a_target_lacks_is_an_error(small: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "supports", c.supports - {"stream"})
    with pytest.raises(SpecError) as caught:
        targets.outputs(small, ["c"])
    assert caught.value.messages == ['golden/spec/things.yaml: thing_next: the target c does not support "stream"']


def test_methods_lose_the_name_of_their_handle_and_properties_their_get(fixture_api: Api) -> None:
    functions = {function.name: function for function in fixture_api.functions}
    assert functions["store_put"].method == "put"
    assert functions["store_get_info"].method == "info"
    assert functions["get_numbers"].method == "get_numbers"


def test_exceptions_change_the_spelling_in_one_language_only(fixture_api: Api) -> None:
    assert fixture_api.name_in("c", "template") == "template_text"
    assert fixture_api.name_in("php", "template") == "template"


def test_the_version_is_packed(small: Api) -> None:
    assert small.packed_version == 0x10002


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout is that of 64-bit systems")
@pytest.mark.parametrize("spec", ["abi/spec", "abi/fixture/spec"])
def test_the_computed_layout_is_that_of_the_platform(spec: str) -> None:
    api = load_api(load.REPOSITORY / spec)
    for struct in api.structs.values():
        fields = [(member.name, c_type(member.type, api)) for member in members(struct, api)]
        native = type(struct.name, (ctypes.Structure,), {"_fields_": fields})
        computed = layout(struct, api)
        assert computed.size == ctypes.sizeof(native), struct.name
        assert computed.offsets == {name: getattr(native, name).offset for name, _ in fields}, struct.name


def c_type(word: str, api: Api) -> type:
    if word.endswith("*"):
        return ctypes.c_void_p
    plain = {"float": ctypes.c_float, "double": ctypes.c_double, "size_t": ctypes.c_size_t}
    if word.startswith(f"{api.prefix}_"):
        return ctypes.c_uint64 if api.enums[word.removeprefix(f"{api.prefix}_")].is_flags else ctypes.c_int32
    return plain.get(word) or getattr(ctypes, f"c_{word.removesuffix('_t')}")
