"""For the site: each binding's README, which lies beside its code, as a page of languages/."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.docs_dir).parent
    for readme in sorted(root.glob("bindings/*/README.md")):
        files.append(File.generated(config, f"languages/{readme.parent.name}.md", content=readme.read_text(encoding="utf-8")))
    return files
