"""Each file under bad/ is one mistake and yields exactly the one message of its first line.

A file replaces the area `things` of the golden spec; behind a line `#### name.yaml` stand other files of the same
folder (top-level keys of an api.yaml replace the golden one's).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mullama_codegen.build import load_api
from mullama_codegen.messages import SpecError

HERE = Path(__file__).parent
CASES = sorted((HERE / "bad").glob("*.yaml"))


def unpack(case: Path, spec: Path) -> str:
    """Writes the description of a case; gives its expected message."""
    first, _, rest = case.read_text(encoding="utf-8").partition("\n")
    things, *others = rest.split("#### ")
    files = {"things.yaml": things} | {name: text for name, _, text in (other.partition("\n") for other in others)}
    api = yaml.safe_load((HERE / "golden/spec/api.yaml").read_text(encoding="utf-8"))
    api |= yaml.safe_load(files.pop("api.yaml", "{}"))
    files["api.yaml"] = yaml.safe_dump(api, sort_keys=False)
    for name, text in files.items():
        (spec / name).parent.mkdir(parents=True, exist_ok=True)
        (spec / name).write_text(text, encoding="utf-8")
    return first.removeprefix("# ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_one_mistake_gives_its_one_message(case: Path, tmp_path: Path) -> None:
    expected = unpack(case, tmp_path / "spec")
    with pytest.raises(SpecError) as caught:
        load_api(tmp_path / "spec", tmp_path)
    assert caught.value.messages == [expected]


def test_there_are_cases() -> None:
    assert len(CASES) >= 50


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    unpack(HERE / "bad/unknown_type.yaml", tmp_path / "spec")
    path = tmp_path / "spec/things.yaml"
    path.write_text(
        path.read_text(encoding="utf-8")
        + "enums:\n  e: {doc: '', values: {a: {value: 1, doc: A.}, b: {value: 1, doc: B.}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_api(tmp_path / "spec", tmp_path)
    assert sorted(caught.value.messages) == [
        "spec/things.yaml: enums.e.doc: is empty",
        "spec/things.yaml: enums.e.values.b: 1 is already a",
        'spec/things.yaml: functions.act.params.x: unknown type "strr"',
    ]
