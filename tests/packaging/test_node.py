"""The Node package as a user installs it: `npm pack`, then `npm install` in an empty folder, and the README's examples there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from printed import answer_in

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "bindings" / "node"
BLOCKS = re.findall(r"^```javascript\n(.*?)^```", (NODE / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
CALM = ("--no-audit", "--no-fund", "--loglevel=error")


def call(*command: str | Path, cwd: Path, expect: int = 0, **more: str) -> str:
    """Runs a program; what this session sets up for tests must not help the package to find its parts."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MULLAMA_", "PKG_CONFIG", "npm_"))}
    done = subprocess.run(command, cwd=cwd, env={**given, **more}, capture_output=True, text=True, timeout=900)
    assert done.returncode == expect, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, packed from a copy of the checkout's files."""
    checkout = tmp_path_factory.mktemp("checkout")
    package = checkout / "bindings" / "node"
    ours = shutil.ignore_patterns("node_modules", "build", "native", "include", "licenses", "*.tgz", "tests")
    # The folder of the generated C++ has the name of the one for binaries.
    keep = shutil.ignore_patterns("node_modules", "build", "*.tgz")
    shutil.copytree(NODE, package, ignore=lambda folder, names: (ours if folder == str(NODE) else keep)(folder, names))
    shutil.copytree(ROOT / "abi" / "include", checkout / "abi" / "include")
    call("npm", "install", "--omit=dev", "--ignore-scripts", *CALM, cwd=package)
    call("npm", "pack", "--loglevel=error", cwd=package, MULLAMA_PREFIX=os.environ["MULLAMA_TEST_PREFIX"])
    left = {path.name for path in package.iterdir()}
    assert not left & {"include", "licenses"}, "a checkout goes on with its own files"
    (found,) = package.glob("mullama-*.tgz")
    return found


def install(tarball: Path, folder: Path, expect: int = 0, **more: str) -> str:
    (folder / "package.json").write_text('{"private": true}\n')
    return call("npm", "install", *CALM, tarball, cwd=folder, expect=expect, **more)


def without_binaries(tarball: Path, folder: Path) -> Path:
    """The same package as it would come to a platform that it was not packed on."""
    changed = folder / tarball.name
    with tarfile.open(tarball) as old, tarfile.open(changed, "w:gz") as new:
        for member in old:
            if not member.name.startswith("package/native/"):
                new.addfile(member, old.extractfile(member))
    return changed


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    install(tarball, folder)
    assert not (folder / "node_modules" / "mullama" / "build").exists(), "the addon in the package works here"
    return folder


def test_the_package_holds_what_it_needs_and_no_more(tarball: Path) -> None:
    with tarfile.open(tarball) as tar:
        names = {name.removeprefix("package/") for name in tar.getnames()}
    assert {
        "CMakeLists.txt",
        "README.md",
        "generated/index.d.ts",
        "generated/index.mjs",
        "generated/native/model.cpp",
        "include/libmullama.h",
        "licenses/llama.cpp.txt",
        "licenses/mullama.txt",
        "package.json",
        "runtime/load.js",
        "scripts/build.js",
        "src/pool.cpp",
    } <= names
    binaries = {name.rpartition("/")[2] for name in names if name.startswith("native/")}
    assert binaries == {"mullama.node", "libmullama.so"}
    assert not [name for name in names if name.startswith(("tests/", "build/", "node_modules/"))]


def test_no_path_of_the_building_machine_is_in_the_addon(installed: Path) -> None:
    (addon,) = installed.glob("node_modules/mullama/native/*/mullama.node")
    assert str(Path.home()).encode() + b"/" not in addon.read_bytes()


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_the_examples_of_the_readme_run(installed: Path, index: int) -> None:
    from mullama.models import resolve

    model = installed / "model.gguf"
    if not model.exists():
        model.symlink_to(resolve("smollm2:135m"))
    code = BLOCKS[index]
    if "import " not in code:
        code = f"(async () => {{\n{code}}})();\n"
    program = installed / f"example-{index}.{'js' if code.startswith('(') else 'mjs'}"
    program.write_text(code, encoding="utf-8")
    output = call("node", program.name, cwd=installed)
    assert output.strip()
    if "tools: [" in code:  # the model has called one, and keeps to the schema
        assert isinstance(answer_in(output, "sunny")["sunny"], bool) and "weather {" in output


def test_the_library_is_the_one_beside_the_package(installed: Path) -> None:
    place = call("node", "-p", "require('mullama').libraryPath()", cwd=installed).strip()
    assert Path(place).parent == next(installed.glob("node_modules/mullama/native/*")).resolve()


def test_a_library_that_is_named_is_used_and_no_other(installed: Path) -> None:
    (given,) = Path(os.environ["MULLAMA_TEST_PREFIX"]).glob("lib*/libmullama.so")
    code = "console.log(require('mullama').libraryPath())"
    assert call("node", "-e", code, cwd=installed, MULLAMA_LIBRARY=str(given)).strip() == str(given)
    message = call("node", "-e", code, cwd=installed, expect=1, MULLAMA_LIBRARY="/missing/libmullama.so")
    assert "libmullama cannot be loaded" in message and "/missing/libmullama.so" in message


def test_a_library_of_another_version_is_refused_in_one_sentence(installed: Path, tmp_path: Path) -> None:
    source, library = tmp_path / "old.c", tmp_path / "libmullama.so"
    source.write_text("unsigned mullama_abi_version(void) { return 7u << 16 | 2; }\n")
    call("cc", "-shared", "-fPIC", source, "-o", library, cwd=tmp_path)
    message = call("node", "-e", "require('mullama')", cwd=installed, expect=1, MULLAMA_LIBRARY=str(library))
    assert f"this binding needs ABI 0.1 of libmullama, but the library at {library} has ABI 7.2" in message


def test_elsewhere_the_addon_is_built_from_the_sources_in_the_package(tarball: Path, tmp_path: Path) -> None:
    (given,) = Path(os.environ["MULLAMA_TEST_PREFIX"]).glob("lib*/pkgconfig")
    install(without_binaries(tarball, tmp_path), tmp_path)
    program = "const m = require('mullama'); console.log(m.version(), m.libraryPath())"
    output = call("node", "-e", program, cwd=tmp_path, PKG_CONFIG_PATH=str(given))
    assert output.startswith("0.1.0 ") and Path(output.split()[1]).parent == given.parent
    message = call("node", "-e", program, cwd=tmp_path, expect=1, PKG_CONFIG_PATH="/missing")
    assert "Set MULLAMA_LIBRARY to its path, or install it where pkg-config or the system finds it" in message


def test_an_installation_that_cannot_be_built_fails_and_says_why(tarball: Path, tmp_path: Path) -> None:
    # A PATH with nothing but what npm needs.
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("node", "npm", "sh"):
        (programs / name).symlink_to(Path(shutil.which(name) or name).resolve())
    message = install(without_binaries(tarball, tmp_path), tmp_path, expect=1, PATH=str(programs))
    assert "no CMake was found" in message
