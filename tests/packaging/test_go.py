"""The Go module as a user installs it: with `go get`, from a module proxy, into an empty folder; and its README's examples."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from mullama.build import toolchain
from printed import answer_in

ROOT = Path(__file__).resolve().parents[2]
MODULE = "github.com/mullama/mullama/bindings/go"
VERSION = "v0.1.0"
IMPORTS = ["errors", "fmt", "log", "sync", "time", 'stdcontext "context"', f'mullama "{MODULE}"']
FRAME = """package main

import (
%s
)

func main() {
	ctx := stdcontext.Background()
	model, err := mullama.LoadModel(ctx, "model.gguf")
	if err != nil {
		log.Fatal(err)
	}
	context, err := model.CreateContext(ctx, mullama.WithNCtx(4096))
	if err != nil {
		log.Fatal(err)
	}
	_ = context
	func() {
%s
	}()
}
"""


def blocks() -> list[str]:
    text = (ROOT / "bindings" / "go" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```go\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def own_files() -> list[Path]:
    """What the module proxy would serve: the module's files in git, without those of the modules inside it."""
    folder = ROOT / "bindings" / "go"
    listed = subprocess.check_output(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=folder, text=True)
    inner = [str(path.parent.relative_to(folder)) + "/" for path in folder.glob("*/**/go.mod")]
    return [folder / name for name in listed.splitlines() if not name.startswith(tuple(inner))]


@pytest.fixture(scope="module")
def go() -> str:
    program = toolchain.program("go")
    assert program, "Go is needed"
    return program


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a machine that has never seen the module, with a proxy of our own to get it from."""
    proxy = tmp_path_factory.mktemp("proxy")
    versions = proxy / MODULE / "@v"
    versions.mkdir(parents=True)
    (versions / "list").write_text(f"{VERSION}\n")
    (versions / f"{VERSION}.info").write_text(f'{{"Version": "{VERSION}"}}')
    (versions / f"{VERSION}.mod").write_bytes((ROOT / "bindings" / "go" / "go.mod").read_bytes())
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w") as archive:
        for path in own_files():
            archive.write(path, f"{MODULE}@{VERSION}/{path.relative_to(ROOT / 'bindings' / 'go').as_posix()}")
    library = Path(os.environ["MULLAMA_TEST_PREFIX"]) / "lib"
    return {
        **os.environ,
        "GOPROXY": proxy.as_uri(),
        "GONOSUMDB": "*",
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": str(tmp_path_factory.mktemp("modules")),
        "PKG_CONFIG_PATH": str(library / "pkgconfig"),
        "CGO_LDFLAGS": f"-Wl,-rpath,{library}",
    }


@pytest.fixture(scope="module")
def project(go: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user, with the module and the file that the examples load."""
    from mullama.models import resolve

    folder = tmp_path_factory.mktemp("user")
    (folder / "model.gguf").symlink_to(resolve("smollm2:135m"))
    call(go, "mod", "init", "example.com/user", cwd=folder, environment=environment)
    call(go, "get", f"{MODULE}@{VERSION}", cwd=folder, environment=environment)
    return folder


def call(*command: str | Path, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(block: str) -> str:
    if block.startswith("package main"):
        return block
    imports = [one if " " in one else f'"{one}"' for one in IMPORTS]
    used = [one for one in imports if re.search(rf"\b{re.split('[ /]', one.strip(chr(34)))[0]}\.", FRAME + block)]
    return FRAME % ("\n".join(f"\t{one}" for one in used), block)


@pytest.mark.parametrize("number", range(len(blocks())))
def test_the_readmes_examples_run_as_printed(
    go: str, project: Path, environment: dict[str, str], number: int
) -> None:
    (project / "main.go").write_text(program(blocks()[number]), encoding="utf-8")
    call(go, "vet", ".", cwd=project, environment=environment)
    said = call(go, "run", ".", cwd=project, environment=environment)
    assert said.strip()
    if "NewTool" in blocks()[number]:  # the model has called one, and keeps to the schema
        assert isinstance(answer_in(said, "city")["degrees"], int) and "temperature {" in said


def test_the_module_holds_no_tests_and_needs_no_other_module() -> None:
    names = {path.relative_to(ROOT / "bindings" / "go").as_posix() for path in own_files()}
    assert {"go.mod", "model.go", "link.go", "README.md", "internal/callback/callback.go"} <= names
    assert not [name for name in names if name.startswith("tests/")] and "go.sum" not in names
    assert "require" not in (ROOT / "bindings" / "go" / "go.mod").read_text()


def test_a_static_program_needs_no_library_beside_it(go: str, project: Path, environment: dict[str, str]) -> None:
    (project / "main.go").write_text(program("fmt.Println(model.NVocab())\n"), encoding="utf-8")
    plain = {name: value for name, value in environment.items() if name != "CGO_LDFLAGS"}
    call(go, "build", "-tags", "mullama_static", "-o", "static", ".", cwd=project, environment=plain)
    assert "libmullama" not in call("ldd", project / "static", cwd=project, environment=plain)
    assert call(project / "static", cwd=project, environment=plain).strip() == "49152 <nil>"
