"""What was released stays: every planted break of a frozen description is refused, and what only adds is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mullama_codegen import load, released
from mullama_codegen.__main__ import main
from mullama_codegen.build import load_api

HERE = Path(__file__).parent


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The golden description, released as 1.2."""
    folder = tmp_path / "golden" / "spec"
    shutil.copytree(HERE / "golden" / "spec", folder)
    assert main(["--root", str(tmp_path), "--spec", str(folder), "--release", "1.2"]) == 0
    return folder


def edit(spec: Path, old: str, new: str) -> None:
    for path in (spec / "things.yaml", spec / "api.yaml"):
        text = path.read_text(encoding="utf-8")
        if old in text:
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
            return
    raise AssertionError(f"{old} is nowhere")


def messages(spec: Path) -> list[str]:
    return released.check(load_api(spec, spec.parents[1]), spec)


BREAKS = {
    "a function is removed": (
        "  thing_age:\n    on: thing\n    doc: How old it is.\n    deprecated: Things do not age any more.\n"
        "    returns: {type: f64, unit: years, doc: Its age.}\n",
        "",
        'functions.small_thing_age: was "double small_thing_age(small_thing *thing);", and is gone',
    ),
    "a result's type changes": ("type: f64, unit: years", "type: f32, unit: years", "functions.small_thing_age: was"),
    "a parameter's type changes": (
        "points: {type: span<f32>",
        "points: {type: span<i32>",
        "functions.small_thing_paint: was",
    ),
    "a parameter has another name": (
        "name: {type: str, doc: What",
        "label: {type: str, doc: What",
        "functions.small_thing_make: was",
    ),
    "a function can fail now": (
        "    doc: The version of the paint.\n",
        "    doc: The version of the paint.\n    errors: []\n",
        "functions.small_version: was",
    ),
    "a result becomes borrowed": (
        'returns: {type: span<i32>, shape: "[n]"',
        'returns: {type: span<i32>, borrowed: forever, shape: "[n]"',
        'results.small_thing_paint: was "owned", and is "borrowed forever"',
    ),
    "a borrowed text ends earlier": (
        "returns: {type: str, borrowed: forever",
        "returns: {type: str, borrowed: until the next call",
        'results.small_version: was "borrowed forever"',
    ),
    "a callback's parameter changes": ("part: {type: f32", "part: {type: f64", "callbacks.small_watcher: was"),
    "a handle's thread rule changes": ("thread: exclusive", "thread: shared", 'handles.small_thing: was "exclusive"'),
    "a field has another type": (
        "size: {type: f32, unit: mm",
        "size: {type: f64, unit: mm",
        "structs.small_drop: had size, float at 4, where it has size, double at 8",
    ),
    "two fields change places": (
        "      coats: {type: i32, default: 2, min: 1, max: 9, doc: How often.}\n      shade: {type: shade, default: dark, doc: How dark.}\n",
        "      shade: {type: shade, default: dark, doc: How dark.}\n      coats: {type: i32, default: 2, min: 1, max: 9, doc: How often.}\n",
        "structs.small_paint_options: had coats, int32_t at 4, where it has shade, small_shade at 4",
    ),
    "a field is removed": (
        '      thin: {type: bool, default: false, doc: Whether to thin it., since: "1.1"}\n',
        "",
        "structs.small_paint_options: had thin",
    ),
    "a field is put before others": (
        "      words: {type: list<str>",
        "      more: {type: i32, default: 0, doc: More.}\n      words: {type: list<str>",
        "structs.small_paint_options: had words, const small_str * at 32, where it has more, int32_t at 28",
    ),
    "an error code is renumbered": (
        "BUSY: {value: 2003",
        "BUSY: {value: 2009",
        "constants.SMALL_E_BUSY: was 2003, and is 2009",
    ),
    "an enum value changes": ("dark: {value: 1", "dark: {value: 2", "constants.SMALL_SHADE_DARK: was 1, and is 2"),
    "an enum member is removed": (
        "      light: {value: 0, doc: Hardly.}\n",
        "",
        "constants.SMALL_SHADE_LIGHT: was 0, and is gone",
    ),
    "a flag's bit changes": ("line: {value: 2", "line: {value: 4", "constants.SMALL_MARKS_LINE: was 2, and is 4"),
    "a default changes": (
        "default: 2, min: 1",
        "default: 3, min: 1",
        "defaults.small_paint_options.coats: was 2, and is 3",
    ),
    "the value for unset changes": (
        "unset: 4294967295",
        "unset: 4294967294",
        "defaults.small_paint_options.seed: was 4294967295, and is 4294967294",
    ),
    "a limit becomes narrower": ("max: 9", "max: 8", "limits.small_paint_options.coats: was 1 to 9, and is 1 to 8"),
    "something new claims to be old": (
        "  version:\n    doc: The version of the paint.\n",
        '  thing_glow:\n    on: thing\n    doc: Makes it glow.\n    since: "1.2"\n  version:\n    doc: The version of the paint.\n',
        "small_thing_glow: is not in the release 1.2, so its `since` must be newer than 1.2",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_planted_break_is_refused_with_what_was_and_what_to_do(name: str, spec: Path) -> None:
    old, new, expected = BREAKS[name]
    edit(spec, old, new)
    found = messages(spec)
    assert any(line.startswith(f"golden/spec/released.json: {expected}") for line in found), found
    assert all("released in 1.2): " in line or "`since` must be newer" in line for line in found)


def test_the_generator_refuses_to_write_from_a_broken_description(spec: Path, capsys: pytest.CaptureFixture) -> None:
    edit(spec, "BUSY: {value: 2003", "BUSY: {value: 2009")
    root = spec.parents[1]
    assert main(["--root", str(root), "--spec", str(spec), "--target", "c", "--write"]) == 1
    assert "SMALL_E_BUSY" in capsys.readouterr().err
    assert not (root / "golden/include").exists()


ADDITIONS = {
    "a function": (
        "  version:\n",
        '  thing_glow:\n    on: thing\n    doc: Makes it glow.\n    since: "1.3"\n  version:\n',
    ),
    "a field at the end": (
        'since: "1.1"}\n',
        'since: "1.1"}\n      glow: {type: bool, default: false, doc: Whether it glows., since: "1.3"}\n',
    ),
    "a member of an enum": ("flags:\n", '      black: {value: 2, doc: Quite., since: "1.3"}\nflags:\n'),
    "an error code": (
        "BUSY: {value: 2003, doc: The object is in use.}",
        'BUSY: {value: 2003, doc: In use.}\n      COLD: {value: 2004, doc: Cold., since: "1.3"}',
    ),
    "a wider limit": ("max: 9", "max: 90"),
    "no limit any more": ("min: 1, max: 9, ", ""),
    "another doc": ("doc: Makes a thing.", "doc: Makes a fine thing."),
    "an end of something": ("    doc: Makes a thing.\n", "    doc: Makes a thing.\n    deprecated: Grow one.\n"),
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_what_only_adds_is_welcome(name: str, spec: Path) -> None:
    edit(spec, 'version: "1.2"', 'version: "1.3"')
    edit(spec, *ADDITIONS[name])
    assert messages(spec) == []


def test_a_release_needs_its_version_in_the_description(spec: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["--root", str(spec.parents[1]), "--spec", str(spec), "--release", "1.3"]) == 1
    assert "golden/spec/api.yaml: version: is 1.2, not 1.3" in capsys.readouterr().err


def test_a_release_takes_up_what_was_added_and_never_a_break(spec: Path) -> None:
    root = spec.parents[1]
    edit(spec, 'version: "1.2"', 'version: "1.3"')
    edit(spec, *ADDITIONS["a function"])
    assert main(["--root", str(root), "--spec", str(spec), "--release", "1.3"]) == 0
    frozen = json.loads((spec / "released.json").read_text(encoding="utf-8"))
    assert frozen["version"] == "1.3" and "small_thing_glow" in frozen["facts"]["functions"]
    edit(spec, "BUSY: {value: 2003", "BUSY: {value: 2009")
    assert main(["--root", str(root), "--spec", str(spec), "--release", "1.3"]) == 1
    assert json.loads((spec / "released.json").read_text(encoding="utf-8")) == frozen


@pytest.mark.parametrize("folder", ["abi/spec", "abi/fixture/spec"])
def test_every_function_struct_and_constant_would_be_frozen(folder: str, tmp_path: Path) -> None:
    """Counted from the header, which says itself what there is."""
    api = load_api(load.REPOSITORY / folder)
    found = released.facts(api)
    flat = (load.REPOSITORY / api.folder / "include" / f"lib{api.name}.cdef.h").read_text(encoding="utf-8")
    always = 7  # version, memory and errors are the same in every API
    assert len(found["functions"]) + always == sum(
        line.endswith(");") and "(*" not in line for line in flat.splitlines()
    )
    for name in (*found["functions"], *found["callbacks"], *found["structs"], *found["constants"]):
        assert name in flat
    assert found["defaults"] and found["limits"] and found["results"]
