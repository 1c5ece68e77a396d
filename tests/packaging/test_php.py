"""The Composer package as a user installs it: in an empty folder, without a network and without a checkout beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from printed import answer_in

BINDING = Path(__file__).parents[2] / "bindings" / "php"
# Composer says "root" in red and asks whether to go on; and a user's own settings must not help.
COMPOSER = {"COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_DISABLE_NETWORK": "1", "COMPOSER_NO_INTERACTION": "1"}
OURS = ("MULLAMA_LIBRARY", "LD_LIBRARY_PATH")


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def library() -> Path:
    (found,) = Path(os.environ["MULLAMA_TEST_PREFIX"]).glob("lib*/libmullama.so")
    return found.resolve()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a release holds."""
    folder = tmp_path_factory.mktemp("archive")
    command = ("composer", "archive", "--format=zip", f"--dir={folder}", "--file=mullama")
    call(*command, cwd=BINDING, COMPOSER_HOME=str(folder / "home"), **COMPOSER)
    return folder / "mullama.zip"


@pytest.fixture(scope="module")
def project(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder after `composer require`, with the library in the package's own folder."""
    package = tmp_path_factory.mktemp("package")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # not one of pytest's, which only their owner may read: the server's user must, too
        install(archive, package, Path(name))
        yield Path(name)


def install(archive: Path, package: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as found:
        found.extractall(package)
    options = {"symlink": False, "versions": {"mullama/mullama": "0.1.0"}}
    repositories = [{"type": "path", "url": str(package), "options": options}, {"packagist.org": False}]
    (folder / "composer.json").write_text(json.dumps({"repositories": repositories}))
    home = str(package.parent / "home")
    call("composer", "require", "mullama/mullama:^0.1", cwd=folder, COMPOSER_HOME=home, **COMPOSER)
    shutil.rmtree(package)
    beside = folder / "vendor" / "mullama" / "mullama" / "lib"
    beside.mkdir()
    shutil.copy(library(), beside / "libmullama.so")


@pytest.fixture
def model(project: Path, tiny: Path) -> Path:
    return Path(shutil.copy(tiny / "llama.gguf", project / "model.gguf"))


ENGINE = r"\n## Engine\n.*?(?=\n## )"


def php_blocks(text: str) -> list[str]:
    return re.findall(r"^```php\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def examples() -> str:
    """Those for a tiny model; what the engine does needs a real one."""
    blocks = php_blocks(re.sub(ENGINE, "", (BINDING / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL))
    assert len(blocks) >= 8
    return "\n".join(blocks)


def test_the_archive_holds_what_a_user_needs_and_no_more(archive: Path) -> None:
    with zipfile.ZipFile(archive) as found:
        names = {name for name in found.namelist() if not name.endswith("/")}
    assert {"src/Floats.php", "src/Runtime/Library.php", "src/Tools/Schema.php", "src/generated/Model.php"} <= names
    assert {name.partition("/")[0] for name in names} == {"composer.json", "README.md", "LICENSE", "preload.php", "src"}
    assert (BINDING / "LICENSE").read_bytes() == (BINDING.parents[1] / "LICENSE").read_bytes()


def test_the_package_needs_nothing_else(project: Path) -> None:
    installed = json.loads((project / "vendor" / "composer" / "installed.json").read_text())
    assert [package["name"] for package in installed["packages"]] == ["mullama/mullama"]
    assert call("composer", "validate", "--no-check-publish", "--strict", cwd=BINDING, **COMPOSER) is not None


def test_every_example_of_the_readme_runs(project: Path, model: Path) -> None:
    (project / "readme.php").write_text(examples(), encoding="utf-8")
    output = call("php", "-d", "zend.assertions=1", "-d", "display_errors=1", "readme.php", cwd=project)
    for part in ("16 tokens, ended by Length", "\nCancelled\n", "stopped half-way", "missing.gguf"):
        assert part in output


def test_the_examples_of_the_engine_run(project: Path) -> None:
    from mullama.models import resolve

    (engine,) = re.findall(ENGINE, (BINDING / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    model = project / "engine.gguf"
    model.symlink_to(resolve("smollm2:135m"))
    code = "<?php\nrequire 'vendor/autoload.php';\n" + "\n".join(php_blocks(engine))
    (project / "engine.php").write_text(code.replace("model.gguf", model.name), encoding="utf-8")
    output = call("php", "-d", "zend.assertions=1", "-d", "display_errors=1", "engine.php", cwd=project)
    # The model has called the function, and keeps to the schema.
    assert isinstance(answer_in(output, "city")["degrees"], int) and 'temperature{"city":' in output


def test_a_page_runs_with_the_preload_file_of_the_package(project: Path, model: Path) -> None:
    page = project / "page.php"
    code = "<?php require 'vendor/autoload.php'; echo (new Mullama\\Model('model.gguf'))->info()->architecture;"
    page.write_text(code)
    preload = ["-d", f"opcache.preload={project}/vendor/mullama/mullama/preload.php"]
    preload += ["-d", "opcache.preload_user=nobody"] if os.geteuid() == 0 else []
    request = {"REDIRECT_STATUS": "1", "REQUEST_METHOD": "GET", "SCRIPT_FILENAME": str(page)}
    assert call("php-cgi", "-d", "ffi.enable=preload", *preload, cwd=project, **request).endswith("\n\nllama")


def test_the_library_may_lie_elsewhere(project: Path, model: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copy(library(), tmp_path / "renamed.so"))
    code = "require 'vendor/autoload.php'; echo implode('.', Mullama\\Mullama::abiVersion());"
    assert call("php", "-r", code, cwd=project, MULLAMA_LIBRARY=str(elsewhere)) == "0.1"
    wrong = subprocess.run(
        ["php", "-d", "display_errors=1", "-r", code],
        cwd=project,
        env=os.environ | {"MULLAMA_LIBRARY": str(tmp_path / "absent.so")},
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 255
    assert "LibraryException: libmullama was not found: set MULLAMA_LIBRARY" in wrong.stdout
