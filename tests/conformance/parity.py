"""Merges what every language's run of the cases said into `PARITY.md` and `parity.json`; fails where a cell is no pass.

`python tests/conformance/parity.py RESULTS` reads `RESULTS/LANGUAGE.jsonl`. Nothing in the two files is written by
hand: a function passes in a language when every case that calls it passes there.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "codegen"), str(HERE)]

import expand  # noqa: E402
from mullama_codegen.api import Api, Area  # noqa: E402
from mullama_codegen.build import load_api  # noqa: E402
from outcome import LANGUAGES, gaps  # noqa: E402

TITLES = {"python": "Python", "node": "Node", "go": "Go", "php": "PHP", "cpp": "C++", "c": "C"}
MARKS = {"pass": "✓", "fail": "**fail**", "gap": "gap", "none": "**no case**"}


@dataclass(frozen=True)
class Row:
    """A function or a case, and what it came to in each language: pass, fail, gap, or none where no case calls it."""

    name: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Section:
    """One area of the description."""

    name: str
    doc: str
    functions: list[Row]
    cases: list[Row]


def read(folder: Path, cases: list[expand.Case]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Each language's result by case, and what is wrong with the results as a whole."""
    results: dict[str, dict[str, str]] = {}
    mistakes = []
    known = [case.id for case in cases]
    for language in LANGUAGES:
        path = folder / f"{language}.jsonl"
        if not path.exists():
            session = "pytest" if language in ("c", "python") else language
            mistakes.append(f"{language}: there are no results; run ./x {session}")
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = {line["case"]: line["result"] for line in lines}
        results[language] = found
        mistakes += [f"{language}: {line['case']}: {line['message']}" for line in lines if line["result"] == "fail"]
        mistakes += [f"{language}: {name}: was not run" for name in known if name not in found]
        mistakes += [f"{language}: {name}: is no case any more" for name in found if name not in known]
    return results, mistakes


def sections(api: Api, cases: list[expand.Case], results: dict[str, dict[str, str]]) -> list[Section]:
    return [_section(api, area, cases, results) for area in api.areas]


def _section(api: Api, area: Area, cases: list[expand.Case], results: dict[str, dict[str, str]]) -> Section:
    names = [function.name for function in area.functions] + [f"{handle.name}_close" for handle in area.handles]
    functions = []
    for name in names:
        calling = [case.id for case in cases if name in {call.partition(".")[0] for call in case.calls()}]
        cells = {language: _together([found.get(case, "none") for case in calling]) for language, found in results.items()}
        functions.append(Row(name, cells))
    own = [case for case in cases if case.area == area.name]
    rows = [Row(case.name, {language: found.get(case.id, "none") for language, found in results.items()}) for case in own]
    return Section(area.name, area.doc, functions, rows)


def _together(results: list[str]) -> str:
    return next((worst for worst in ("fail", "gap", "none") if worst in results), "pass" if results else "none")


def markdown(found: list[Section], n_cases: int) -> str:
    languages = list(TITLES)
    n_functions = sum(len(section.functions) for section in found)
    lines = [
        "# Parity",
        "",
        f"{n_functions} functions and {n_cases} cases (`tests/conformance/cases`) in {len(languages)} languages, each run by its own test tool.",
        "Written by `./x parity` from those runs, never by hand. A function passes where every case that calls it passes.",
    ]
    for section in found:
        lines += ["", f"## {section.name}", "", section.doc, "", *_table("function", section.functions, languages, "`")]
        summary = f"{len(section.cases)} cases"
        lines += ["", f"<details><summary>{summary}</summary>", "", *_table("case", section.cases, languages, ""), "", "</details>"]
    if gaps():
        lines += ["", "## Gaps", ""]
        lines += [f"- {gap['language']}: {gap.get('case') or gap['function']}: {gap['reason']}" for gap in gaps()]
    return "\n".join([*lines, ""])


def _table(what: str, rows: list[Row], languages: list[str], quote: str) -> list[str]:
    head = [f"| {what} | {' | '.join(TITLES[language] for language in languages)} |", f"|---|{':-:|' * len(languages)}"]
    return head + [
        f"| {quote}{row.name.replace('|', '&#124;')}{quote} | {' | '.join(MARKS[row.cells[language]] for language in languages)} |"
        for row in rows
    ]


def as_json(found: list[Section]) -> str:
    data = {
        section.name: {
            "functions": {row.name: row.cells for row in section.functions},
            "cases": {row.name: row.cells for row in section.cases},
        }
        for section in found
    }
    return json.dumps({"languages": list(TITLES), "areas": data, "gaps": gaps()}, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} RESULTS")
    cases = expand.load()
    results, mistakes = read(Path(sys.argv[1]), cases)
    if len(results) == len(LANGUAGES):
        found = sections(load_api(ROOT / "abi" / "spec"), cases, results)
        uncalled = {row.name for section in found for row in section.functions if "none" in row.cells.values()}
        mistakes += [f"{name}: no case calls it" for name in sorted(uncalled)]
        for name, content in {"PARITY.md": markdown(found, len(cases)), "parity.json": as_json(found)}.items():
            path = ROOT / name
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                path.write_text(content, encoding="utf-8")
                mistakes.append(f"{name} was out of date; it is rewritten, commit it")
    if mistakes:
        print("\n".join(mistakes), file=sys.stderr)
        return 1
    print(f"{len(cases)} cases pass in {', '.join(TITLES.values())}; PARITY.md is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
