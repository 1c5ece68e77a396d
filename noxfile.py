"""The project's sessions: `./x SESSION`, or `nox -s SESSION`. All of them share one environment and one build.

A step whose inputs have not changed is skipped, by a stamp of their content (core/mullama/build/stamp.py), so that a
session starts with what it is about.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "core"))

from mullama.build import toolchain  # noqa: E402
from mullama.build.library import Library  # noqa: E402
from mullama.build.report import note  # noqa: E402
from mullama.build.stamp import digest, is_fresh  # noqa: E402
from mullama.problem import Problem  # noqa: E402

ENVIRONMENT = ROOT / ".nox" / "env"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
# The build finds its cmake and ninja there, whichever Python runs nox.
os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"

LIBRARY = Library(ROOT)
FIXTURE = ROOT / "build" / "fixture"
CONFORMANCE = ROOT / "build" / "conformance"
QUESTION = "What is a library, in one short paragraph?"
# What the tests compare with: llama.cpp's own programs, from the same build.
REFERENCE_TOOLS = ["llama-completion"]
# Tests of the library's own objects (abi/cmake/object_tests.cmake).
OBJECT_TESTS = ["backend-abort-test", "engine-fault", "engine-parse", "gemm-test", "grammar-mask"]
# How the sanitizers report, by the name of the build.
SANITIZERS = {
    "address": {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1"},
    "thread": {"TSAN_OPTIONS": "halt_on_error=1 second_deadlock_stack=1"},
}
SANITIZED_TESTS = ["bad_input", "bad_schemas", "bad_values", "templates_that_run_away", "properties", "slots", "streams"]
BENCHMARK_TOOLS = ["llama-bench", "llama-completion", "llama-batched-bench", "llama-server"]

nox.options.sessions = ["test"]


@contextmanager
def reported(session: nox.Session) -> Iterator[None]:
    """Ends the session with a problem's own sentence instead of a traceback."""
    try:
        yield
    except Problem as problem:
        session.error(str(problem))


def pip_install(session: nox.Session, *arguments: str) -> None:
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    session.run(*pip, *arguments, external=True, log=False)


def need(session: nox.Session, *groups: str) -> None:
    """Installs the package's dependencies and groups of tools (both in pyproject.toml) into the shared environment."""
    if not Path(PYTHON).exists():
        session.run(sys.executable, "-m", "venv", str(ENVIRONMENT), external=True)
    project = nox.project.load_toml(ROOT / "pyproject.toml")
    wanted = sorted({*project["project"]["dependencies"], *nox.project.dependency_groups(project, *groups)})
    stamp = ENVIRONMENT / f"{'-'.join(groups)}.stamp"
    if not is_fresh(stamp, "\n".join(wanted)):
        note(f"installing the tools of {', '.join(groups)}")
        pip_install(session, *wanted)
        stamp.write_text("\n".join(wanted))


def install(session: nox.Session) -> None:
    """Makes the library current, and the installed package around it: the same steps as a user's `pip install .`."""
    need(session, "build")
    with reported(session):
        prefix = LIBRARY.build()
        value = digest([ROOT / "core", ROOT / "bindings" / "python", ROOT / "pyproject.toml", prefix])
        stamp = ENVIRONMENT / "package.stamp"
        if not is_fresh(stamp, value):
            toolchain.require(toolchain.FOR_PACKAGE, note)
            note("installing the Python package")
            flags = ("--no-build-isolation", "--no-deps", "--force-reinstall")
            pip_install(session, *flags, f"--config-settings=cmake.define.MULLAMA_PREFIX={prefix}", str(ROOT))
            stamp.write_text(value)


def run(session: nox.Session, *command: str) -> None:
    """Runs a command that may use the built library, llama.cpp's source and programs, and the generator."""
    with reported(session):
        places = {
            "MULLAMA_TEST_PREFIX": LIBRARY.prefix,
            "MULLAMA_TEST_SOURCE": LIBRARY.source(),
            "MULLAMA_TEST_TOOLS": LIBRARY.folder / "bin",
            "MULLAMA_CONFORMANCE_RESULTS": CONFORMANCE / "results",
            "PYTHONPATH": ROOT / "codegen",
        }
    session.run(*command, env={name: str(place) for name, place in places.items()}, external=True)


def need_program(session: nox.Session, group: str, oldest: tuple[int, ...], *version: str) -> None:
    """The system's program where it is new enough, else the one that the package index has (a group of pyproject.toml)."""
    if toolchain.version(*version) < oldest:
        need(session, group)


def build_fixture(session: nox.Session) -> None:
    """Builds libfixture, the test API that every binding is tried with, in build/fixture."""
    configure = ["cmake", "-S", "abi/fixture", "-B", str(FIXTURE), "-G", "Ninja"]
    session.run(*configure, external=True, silent=True)
    session.run("cmake", "--build", str(FIXTURE), "--target", "fixture", external=True, silent=True)


def language_places(session: nox.Session, language: str) -> dict[str, str]:
    """What the tests of a binding find in their environment; see tests/README.md."""
    install(session)
    need(session, "test", "codegen")
    with reported(session):
        toolchain.require((*toolchain.FOR_LIBRARY, toolchain.PKG_CONFIG), note)
    build_fixture(session)
    cases = CONFORMANCE / language
    shutil.rmtree(cases, ignore_errors=True)
    expand = (PYTHON, "tests/conformance/expand.py", str(cases), language)
    session.run(*expand, external=True, env={"PYTHONPATH": "codegen"}, log=False)
    (CONFORMANCE / "results").mkdir(exist_ok=True)
    (CONFORMANCE / "results" / f"{language}.jsonl").unlink(missing_ok=True)
    model = "from mullama.models import resolve; print(resolve('smollm2:135m'))"
    (library,) = LIBRARY.prefix.glob("lib*/pkgconfig")
    return {
        "MULLAMA_TEST_PREFIX": str(LIBRARY.prefix),
        "MULLAMA_TEST_FIXTURE": str(FIXTURE),
        "MULLAMA_TEST_CASES": str(cases),
        "MULLAMA_TEST_MODEL": subprocess.check_output([PYTHON, "-c", model], text=True).splitlines()[-1],
        "MULLAMA_CONFORMANCE_RESULTS": str(CONFORMANCE / "results"),
        "PKG_CONFIG_PATH": str(library),
    }


@nox.session(python=False)
def build(session: nox.Session) -> None:
    """Builds libmullama and installs the Python package into the shared environment."""
    install(session)


@nox.session(python=False, name="install")
def install_library(session: nox.Session) -> None:
    """Installs libmullama, its headers, pkg-config and CMake files: `./x install PREFIX` (/usr/local without one)."""
    need(session, "build")
    prefix = session.posargs[0] if session.posargs else "/usr/local"
    with reported(session):
        LIBRARY.install(Path(prefix).expanduser().absolute())
    note(f"installed in {prefix}")


@nox.session(python=False)
def wheel(session: nox.Session) -> None:
    """Makes the wheel for every Linux machine on x86-64 that is as new as this one or newer, in dist/, and tests it."""
    install(session)
    need(session, "build", "test", "wheel")
    made, finished = ROOT / "build" / "wheel", ROOT / "dist"
    for folder in (made, finished):
        shutil.rmtree(folder, ignore_errors=True)
    pip = (PYTHON, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(made))
    note("building the wheel: every variant of the processor backend is compiled, which takes minutes")
    session.run(*pip, "--config-settings=cmake.define.MULLAMA_CPU_VARIANTS=ON", str(ROOT), external=True, silent=True)
    (built,) = made.glob("*.whl")
    session.run(PYTHON, "-m", "auditwheel", "repair", "--wheel-dir", str(finished), str(built), external=True)
    (result,) = finished.glob("*.whl")
    os.environ["MULLAMA_TEST_WHEEL"] = str(result)
    run(session, PYTHON, "-m", "pytest", "tests/packaging/test_install.py", "tests/packaging/test_processors.py")
    note(f"the wheel is {result.relative_to(ROOT)}")


@nox.session(python=False)
def demo(session: nox.Session) -> None:
    """Builds, fetches a small model, and lets it answer a question."""
    install(session)
    question = " ".join(session.posargs) or QUESTION
    # No session.run: the answer is the point, not nox's account of the command.
    answer = subprocess.run([str(BIN / "mullama"), "run", "--verbose", "smollm2:135m", question], stdin=subprocess.DEVNULL)
    if answer.returncode:
        session.error("the demo failed")


@nox.session(python=False)
def codegen(session: nox.Session) -> None:
    """Checks that every generated file is what the description gives; `./x codegen --write` writes them."""
    need(session, "codegen")
    session.run(PYTHON, "-m", "mullama_codegen", *session.posargs, env={"PYTHONPATH": "codegen"}, external=True)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Checks the style and the types of the Python code."""
    install(session)
    need(session, "lint", "codegen", "test")
    session.run(PYTHON, "-m", "ruff", "check", *session.posargs, external=True)
    # The installed package: there the hand-written parts and the generated binding are one.
    session.run(PYTHON, "-m", "mypy", "-p", "mullama", external=True)
    session.run(PYTHON, "-m", "mypy", "noxfile.py", "codegen/mullama_codegen", external=True)


@nox.session(python=False)
def pytest(session: nox.Session) -> None:
    """Runs the tests, those of the C library included; arguments go to pytest."""
    install(session)
    need(session, "test", "codegen", "wheel")
    need_program(session, "node", (20,), "node", "--version")
    need_program(session, "go", (1, 24), "go", "version")
    with reported(session):
        toolchain.require(toolchain.FOR_TESTS, note)
        LIBRARY.tools([*REFERENCE_TOOLS, *OBJECT_TESTS])
    run(session, PYTHON, "-m", "pytest", *session.posargs)


@nox.session(python=False)
def sanitize(session: nox.Session) -> None:
    """Runs the engine under AddressSanitizer, UBSan and ThreadSanitizer: a stress test, the injected fault, and bad input from Python.

    Not a part of `test`: it compiles the library's objects and a part of llama.cpp twice more, which takes several minutes.
    """
    install(session)
    need(session, "test", "codegen")
    programs = [f"engine-{name}-{kind}" for kind in SANITIZERS for name in ("fault", "stress")]
    with reported(session):
        LIBRARY.tools([*programs, "mullama-address"])
    tiny = ROOT / "build" / "sanitize"
    write = "import sys, tiny_models; tiny_models.write_all(sys.argv[1])"
    session.run(PYTHON, "-c", write, str(tiny), env={"PYTHONPATH": "tests/tools"}, external=True)
    for kind, options in SANITIZERS.items():
        folder = LIBRARY.folder / "bin"
        session.run(str(folder / f"engine-fault-{kind}"), str(tiny / "llama.gguf"), "1", env=options, external=True, silent=True)
        session.run(str(folder / f"engine-stress-{kind}"), str(tiny), "2", env=options, external=True)
    runtime = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    environment = {
        **SANITIZERS["address"],
        # CPython keeps what it allocates, and its own allocator hides ours from the sanitizer.
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": f"{runtime} {subprocess.check_output(['gcc', '-print-file-name=libstdc++.so'], text=True).strip()}",
        "LD_LIBRARY_PATH": str(LIBRARY.folder / "address"),
        "PYTHONPATH": str(ROOT / "codegen"),
    }
    tests = session.posargs or [f"tests/engine/test_{name}.py" for name in SANITIZED_TESTS]
    session.run(PYTHON, "-m", "pytest", "-q", *tests, env=environment, external=True)


def build_addon(session: nox.Session, *options: str) -> None:
    """Builds Node's addon in the checkout; `--fixture` also the one of the test API."""
    with session.chdir("bindings/node"):
        npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        session.run(*npm, external=True, silent=True)
        session.run("node", "scripts/build.js", *options, external=True)


@nox.session(python=False)
def node(session: nox.Session) -> None:
    """Builds the Node package and runs its tests: style, types, every shape, idioms and the conformance cases."""
    places = language_places(session, "node")
    need_program(session, "node", (20,), "node", "--version")
    build_addon(session, "--fixture")
    with session.chdir("bindings/node"):
        for check in ("format", "types"):
            session.run("npm", "run", "--silent", check, external=True)
        tests = sorted(Path("tests").glob("*.test.js"))
        cases = "../../tests/conformance/node/cases.test.js"
        session.run("node", "--expose-gc", "--test", *map(str, tests), cases, env=places, external=True)


@nox.session(python=False)
def go(session: nox.Session) -> None:
    """Runs the tests of the Go module: its style, every shape, idioms and the conformance cases."""
    places = language_places(session, "go")
    need_program(session, "go", (1, 24), "go", "version")
    folders = (places["MULLAMA_TEST_FIXTURE"], str(Path(places["PKG_CONFIG_PATH"]).parent))
    environment = {**places, "CGO_LDFLAGS": " ".join(f"-L{folder} -Wl,-rpath,{folder}" for folder in folders)}
    modules = ("bindings/go", "bindings/go/tests", "tests/conformance/go", "benchmarks/languages/go")
    if unformatted := session.run("gofmt", "-l", *modules, external=True, silent=True):
        session.error(f"gofmt would change {unformatted}")
    for module in modules:
        with session.chdir(module):
            session.run("go", "vet", "./...", env=environment, external=True)
            session.run("go", "test", "-count=1", "./...", env=environment, external=True)
    with session.chdir("bindings/go/tests"):
        session.run("go", "test", "-race", "-short", "-count=1", "./fixture", "./engine", env=environment, external=True)


@nox.session(python=False)
def php(session: nox.Session) -> None:
    """Runs the tests of the PHP package: its syntax, every shape, idioms and the conformance cases."""
    places = language_places(session, "php")
    with reported(session):
        toolchain.require(toolchain.FOR_PHP, note)
    for folder in ("bindings/php/src", "bindings/php/tests", "tests/conformance/php", "benchmarks/languages/php"):
        for path in sorted((ROOT / folder).rglob("*.php")):
            session.run("php", "-l", str(path), external=True, silent=True, log=False)
    session.run("phpunit", "-c", "bindings/php", *session.posargs, env=places, external=True)


@nox.session(python=False)
def cpp(session: nox.Session) -> None:
    """Builds and runs the tests of the C++ header: style, every shape (with sanitizers and clang too), idioms and cases."""
    places = language_places(session, "cpp")
    need(session, "cpp")
    with reported(session):
        toolchain.require((toolchain.CLANG,), note)
    headers = [path for folder in ("abi", "abi/fixture") for path in (ROOT / folder / "include").glob("*.hpp")]
    folders = ("bindings/cpp/tests", "tests/conformance/cpp", "benchmarks/languages/cpp")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.[ch]pp")]
    style = f"--style=file:{ROOT / 'bindings/cpp/.clang-format'}"
    session.run(str(BIN / "clang-format"), style, "--dry-run", "-Werror", *map(str, headers + sources), external=True)
    only_shapes = {**places, "MULLAMA_TEST_PREFIX": ""}
    for name, environment, *options in (
        ("plain", places),
        ("clang", only_shapes, "-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++"),
        ("address", only_shapes, "-DFIXTURE_SANITIZE=address,undefined"),
        ("thread", only_shapes, "-DFIXTURE_SANITIZE=thread"),
    ):
        folder = str(ROOT / "build" / "cpp" / name)
        configure = ("cmake", "-S", "bindings/cpp/tests", "-B", folder, "-G", "Ninja", *options)
        session.run(*configure, env=environment, external=True, silent=True)
        session.run("cmake", "--build", folder, external=True, silent=True)
        session.run("ctest", "--test-dir", folder, "--output-on-failure", env=environment, external=True)


@nox.session(python=False)
def parity(session: nox.Session) -> None:
    """Writes PARITY.md and parity.json from the languages' last runs; fails where they say anything but pass."""
    need(session, "test", "codegen")
    session.run(PYTHON, "tests/conformance/parity.py", str(CONFORMANCE / "results"), external=True)


@nox.session(python=False, requires=["build", "codegen", "lint", "pytest", "cpp", "node", "go", "php", "parity"])
def test(session: nox.Session) -> None:
    """Every check and test there is."""


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Builds the documentation as a site in build/site; a link that leads nowhere fails."""
    need(session, "docs")
    session.run(PYTHON, "-m", "mkdocs", "build", "--quiet", *session.posargs, external=True)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Measures against llama.cpp's own benchmark programs, and every language against C; arguments go to benchmarks/run.py."""
    install(session)
    need(session, "bench", "codegen")
    need_program(session, "node", (20,), "node", "--version")
    need_program(session, "go", (1, 24), "go", "version")
    with reported(session):
        toolchain.require((toolchain.PKG_CONFIG, toolchain.PHP), note)
        LIBRARY.tools(BENCHMARK_TOOLS)
    build_addon(session)
    run(session, PYTHON, "benchmarks/run.py", *session.posargs)
