"""Compiling: the cache, and what is said where it cannot work."""

import os
import subprocess
import sys

import pytest
from brian2 import prefs

from brian_qif.codegen import compiler
from brian_qif.codegen.compiler import CompilerError, find_compiler, load_library

SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def empty_cache(tmp_path):
    before = prefs["brian_qif.cache_directory"]
    prefs["brian_qif.cache_directory"] = str(tmp_path / "cache")
    yield tmp_path / "cache"
    prefs["brian_qif.cache_directory"] = before


def test_a_library_is_compiled_once(empty_cache):
    assert load_library(SOURCE).answer() == 42
    (library,) = empty_cache.iterdir()
    written = library.stat().st_mtime_ns
    assert load_library(SOURCE).answer() == 42
    assert [(entry, entry.stat().st_mtime_ns) for entry in empty_cache.iterdir()] == [(library, written)]


def test_another_source_is_another_library(empty_cache):
    load_library(SOURCE)
    assert load_library(SOURCE.replace("42", "43")).answer() == 43
    assert len(list(empty_cache.iterdir())) == 2


def test_two_processes_compile_at_once(empty_cache):
    code = (
        "from brian2 import prefs; import brian_qif; from brian_qif.codegen.compiler import load_library\n"
        f"prefs['brian_qif.cache_directory'] = {str(empty_cache)!r}\n"
        f"print(load_library({SOURCE!r}).answer())"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in started] == ["42", "42"]
    assert len(list(empty_cache.iterdir())) == 1


def test_without_a_compiler_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(CompilerError) as caught:
        find_compiler()
    assert str(caught.value) == (
        "No C++ compiler was found (looked for g++, c++, clang++). Install one, for instance Debian's package g++, or "
        "name it in the environment variable CXX; EventSolver(backend='reference') works without a compiler."
    )


def test_without_a_compiler_the_reference_is_taken(monkeypatch, tmp_path):
    from brian_qif import EventSolver
    from brian_qif.plan.reader import read_network
    from tests.networks import example

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    plan = read_network(example("lif").network).plan
    assert EventSolver().find_backend(plan).name == "reference"
    with pytest.raises(NotImplementedError, match="The backend 'cpp' cannot run this network: No C\\+\\+ compiler"):
        EventSolver("cpp").find_backend(plan)


def test_the_message_of_a_failing_compiler_is_shown(empty_cache):
    with pytest.raises(CompilerError, match="error: .*nonsense"):
        load_library("nonsense here;")
    assert list(empty_cache.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(empty_cache):
    empty_cache.parent.joinpath("cache").write_text("a file where the folder should be")
    with pytest.raises(
        CompilerError, match="Compiled code cannot be kept in .*cache.*prefs\\['brian_qif.cache_directory'\\]"
    ):
        load_library(SOURCE)


def test_no_flag_turns_off_exact_arithmetic():
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only", "-funsafe-math-optimizations"} & set(compiler.FLAGS)


def test_the_key_depends_on_the_compiler_in_the_environment(empty_cache, monkeypatch, tmp_path):
    other = tmp_path / "other-compiler"
    other.write_text(f'#!/bin/sh\nexec {find_compiler()} "$@"\n')
    other.chmod(0o755)
    load_library(SOURCE)
    monkeypatch.setenv("CXX", str(other))
    assert find_compiler() == os.fspath(other)
    load_library(SOURCE)
    assert len(list(empty_cache.iterdir())) == 2
