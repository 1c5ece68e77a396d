"""The headers compile alone and twice, in every standard of C and C++ and with every compiler, without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ROOT, need, run
from mullama_codegen.api import Api

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
STANDARDS = {
    **dict.fromkeys(("c99", "c11", "c17", "c2x"), ("gcc", "clang")),
    **dict.fromkeys(("c++11", "c++14", "c++17", "c++20", "c++2b"), ("g++", "clang++")),
}


@pytest.mark.parametrize(
    ("standard", "compiler"), [(standard, name) for standard, names in STANDARDS.items() for name in names]
)
def test_header_compiles_alone_and_twice(api: Api, standard: str, compiler: str, tmp_path: Path) -> None:
    include = f'#include "lib{api.name}.h"\n'
    suffix = "cpp" if "+" in standard else "c"
    for count in (1, 2):
        source = tmp_path / f"included_{count}.{suffix}"
        source.write_text(include * count + f"int main(void) {{ return {api.prefix.upper()}_OK; }}\n")
        run(
            need(compiler), f"-std={standard}", *WARNINGS, f"-I{ROOT / api.folder / 'include'}", "-fsyntax-only", source
        )


@pytest.mark.parametrize("standard", ["c++17", "c++20", "c++2b"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cpp_header_compiles_alone_twice_and_beside_the_other(
    api: Api, standard: str, compiler: str, tmp_path: Path
) -> None:
    """Both APIs share the hand-written header, and a program may use both."""
    include, other = f"#include <lib{api.name}.hpp>\n", "fixture" if api.name == "mullama" else "mullama"
    folders = [f"-I{ROOT / folder / 'include'}" for folder in ("abi", "abi/fixture")]
    for number, lines in enumerate((include, include * 2, f"{include}#include <lib{other}.hpp>\n")):
        source = tmp_path / f"included_{number}.cpp"
        source.write_text(f"{lines}int main() {{ return {api.name}::live_objects() > 0; }}\n")
        more = (*WARNINGS, "-Wshadow", "-Wconversion", "-fno-rtti")
        run(need(compiler), f"-std={standard}", *more, *folders, "-fsyntax-only", source)


def test_a_program_of_several_files_links(build_fixture, tmp_path: Path) -> None:
    """Everything in the C++ headers is inline."""
    folders = [f"-I{ROOT / folder / 'include'}" for folder in ("abi", "abi/fixture")]
    for name, body in (
        ("main", "int other();\nint main() { return other(); }"),
        ("other", "int other() { return 0; }"),
    ):
        (tmp_path / f"{name}.cpp").write_text(f"#include <libfixture.hpp>\n{body}\n")
    library = build_fixture()
    link = (f"-L{library}", f"-Wl,-rpath,{library}", "-lfixture")
    run(
        need("g++"),
        "-std=c++17",
        *folders,
        tmp_path / "main.cpp",
        tmp_path / "other.cpp",
        "-o",
        tmp_path / "program",
        *link,
    )
    run(tmp_path / "program")


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("part", ["layout", "options", "errors"])
def test_generated_sources_compile(api: Api, compiler: str, part: str) -> None:
    """layout.cpp asserts size and offset of every struct, so compiling it is the test."""
    source = ROOT / api.folder / "src/generated" / f"{part}.cpp"
    includes = [f"-I{ROOT / api.folder / 'include'}", f"-I{ROOT / 'abi/src'}"]
    run(need(compiler), "-std=c++17", *WARNINGS, *includes, "-fsyntax-only", source)


def test_layout_asserts_every_struct_and_member(api: Api) -> None:
    text = (ROOT / api.folder / "src/generated/layout.cpp").read_text()
    for struct in api.structs.values():
        assert f"sizeof({api.prefix}_{struct.name}) ==" in text
        for field in struct.fields:
            assert f"offsetof({api.prefix}_{struct.name}, {api.name_in('c', field.name)}) ==" in text


def test_a_shifted_struct_does_not_compile(api: Api, tmp_path: Path) -> None:
    """The asserts bite: one member more in the middle of a struct is refused."""
    header = (ROOT / api.folder / "include" / f"lib{api.name}.h").read_text()
    struct = next(iter(api.structs.values()))
    begin = f"typedef struct {api.prefix}_{struct.name} {{"
    assert begin in header
    (tmp_path / f"lib{api.name}.h").write_text(header.replace(begin, f"{begin}\n    double shift;"))
    source = ROOT / api.folder / "src/generated/layout.cpp"
    with pytest.raises(AssertionError, match=f"size of {api.prefix}_{struct.name}"):
        run(need("g++"), "-std=c++17", f"-I{tmp_path}", "-fsyntax-only", source)


def test_flat_declarations_are_those_of_the_header(api: Api, tmp_path: Path) -> None:
    """One compiler sees both: every function, struct and constant of the flat file must agree with the header."""
    flat = (ROOT / api.folder / "include" / f"lib{api.name}.cdef.h").read_text()
    functions = [line for line in flat.splitlines() if line.endswith(");") and "(*" not in line]
    source = tmp_path / "both.c"
    source.write_text("\n".join([f'#include "lib{api.name}.h"', *functions, "int main(void) { return 0; }\n"]))
    run(
        need("gcc"),
        "-std=c11",
        *WARNINGS,
        "-Wno-deprecated-declarations",
        f"-I{ROOT / api.folder / 'include'}",
        "-fsyntax-only",
        source,
    )
    assert len(functions) > len(api.functions)
