"""What a case's run in one language counts as: pass, fail, or a gap that gaps.json gives a reason for."""

from __future__ import annotations

import json
from pathlib import Path

LANGUAGES = ("python", "c", "cpp", "node", "go", "php")
GAPS = Path(__file__).resolve().parent / "gaps.json"


def gaps() -> list[dict[str, str]]:
    """Each names a `case` or a `function`, a `language`, and the `reason`."""
    return json.loads(GAPS.read_text(encoding="utf-8"))


def gap_of(case: str, language: str) -> str | None:
    """The reason why a language cannot run a case."""
    return next((gap["reason"] for gap in gaps() if (gap.get("case"), gap["language"]) == (case, language)), None)


def settle(case: str, language: str, failure: str | None) -> dict[str, str]:
    """The line for the parity table."""
    reason = gap_of(case, language)
    line = {"case": case, "language": language}
    if reason is None:
        return line | ({"result": "fail", "message": failure} if failure else {"result": "pass"})
    if failure:
        return line | {"result": "gap", "reason": reason}
    return line | {"result": "fail", "message": f"is listed as a gap ({reason}), but passes"}
