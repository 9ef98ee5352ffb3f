"""What keeps the project easy to explain: where things are, how long they are, who imports whom."""

import ast
import importlib
import inspect
import re
import subprocess

import pytest
from conftest import ROOT, run

from data.cli import LateImport

SCRIPTS = ("build_embeddings.py", "build_embed_model.py")
STEMS = {script.removesuffix(".py") for script in SCRIPTS}
# Imports go from a room to those before it, never back.
ROOMS = ["tables", "training", "sets", "reports"]
FOUNDATION = {"data", "data.files", "data.progress"}  # used everywhere, import nothing else of ours
# The command line is used by what starts TensorFlow; all it knows of a set is how files are named.
COMMAND_LINE = {"data", "data.sets.names", "data.tables.settings", "data.tables.sources"}


def modules(*patterns):
    """{name of the module: its path} of the scripts and data/, prepare scripts aside."""
    paths = [ROOT / script for script in SCRIPTS] + sorted((ROOT / "data").rglob("*.py"))
    paths = [path.relative_to(ROOT) for path in paths if path.name != "prepare.py"]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imports(path):
    """The modules of this project that a file imports, at its top, in functions or later."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inner or {node.module}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LateImport":
            found.add(node.args[0].value)
    return found & set(MODULES)


def room(module):
    """The room of a module, or its name where it stands in none."""
    first, *rest = module.split(".")
    return rest[0] if first == "data" and rest and rest[0] in ROOMS else module


def test_imports_go_one_way():
    wrong = set()
    for module, path in MODULES.items():
        for other in imports(path):
            here, there = room(module), room(other)
            if there in FOUNDATION or here == there:
                allowed = True
            elif here in FOUNDATION:
                allowed = False
            elif module == "data.cli":
                allowed = other in COMMAND_LINE
            elif here in ROOMS:
                later = ROOMS.index(here)
                allowed = there in ROOMS[:later] or (there == "data.cli" and here != "tables")
            else:  # the transformer, the scripts
                allowed = there not in STEMS or module == "build_embed_model"
            if not allowed:
                wrong.add(f"{module} imports {other}")
    assert not wrong


def test_no_two_modules_need_each_other():
    needs = {module: imports(path) - {module} for module, path in MODULES.items()}
    while free := {module for module, others in needs.items() if not others}:
        needs = {module: others - free for module, others in needs.items() if module not in free}
    assert not needs, "each of these is needed by another of them"


def test_no_file_and_no_function_is_too_long_to_read():
    pages = [path.relative_to(ROOT) for path in (ROOT / "data/reports/page").iterdir()]
    for path in [*MODULES.values(), *pages]:
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 450, f"{path} has {len(lines)} lines"
    found = set()
    for path in MODULES.values():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                found.add(f"{path.as_posix()}: {node.name}")
    assert not found


def test_modules_that_docstrings_name_are_there():
    paths = [
        *MODULES.values(),
        *(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")),
    ]
    for path in paths:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:data|build_embed\w+)\.[\w.]+)`", text):
            module = name if name in MODULES else name.rpartition(".")[0]
            module = module if module in MODULES else module.rpartition(".")[0]  # a method's class
            thing = name.removeprefix(module).removeprefix(".").partition(".")[0]
            assert module in MODULES, f"{path}: {name}"
            code = (ROOT / MODULES[module]).read_text(encoding="utf-8")
            found = re.search(rf"^(def|class) {thing}\b|^{thing}\b.* = ", code, re.MULTILINE)
            assert not thing or found, f"{path}: {name}"


def test_the_top_level_stays_as_it_is():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8")
    if tracked.returncode:
        pytest.skip("no checkout of git")
    found = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in found if not name.startswith(".")} == {
        *SCRIPTS, "README.md", "requirements.txt", "data", "saved_embeddings", "tests",
    }  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_explains_every_option_and_needs_no_tensorflow(script):
    done = run(script, "--help", python=["-X", "importtime"], env={"COLUMNS": "100"})
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "numpy" in imported
    assert not {"tensorflow", "keras", "matplotlib"} & imported
    assert f"python {script} --" in done.stdout.partition("example")[2]
    _, *options = re.split(r"^  (?=-)", done.stdout, flags=re.MULTILINE)
    assert len(options) > 15
    for option in options:
        name, *explained = option.split()
        assert re.fullmatch(r"-h,|--[a-z-]+", name)
        words = [word for word in explained if re.fullmatch(r"[(]?[a-z]{2,}[,;:.)]*", word)]
        assert len(words) >= 3, f"{name} is not explained"


BENCHMARKS = sorted((ROOT / "tests/benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_the_project_is_there(path):
    """No benchmark runs with the tests, so a name that has moved would go unnoticed."""
    tree, known, wrong = ast.parse(path.read_text(encoding="utf-8")), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in MODULES:
                    known[alias.asname or alias.name] = importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                home = importlib.import_module(whole if whole in MODULES else node.module)
                found = home if whole in MODULES else getattr(home, alias.name, None)
                known[alias.asname or alias.name] = found
                wrong |= {whole} if found is None else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and meant(node, known) is None:
            wrong.add(ast.unparse(node))
        if isinstance(node, ast.Call) and not any(isinstance(a, ast.Starred) for a in node.args):
            called, words = meant(node.func, known), {word.arg for word in node.keywords}
            if inspect.isfunction(called) or inspect.isclass(called):
                signature = inspect.signature(called)
                bind = signature.bind_partial if None in words else signature.bind
                try:
                    bind(*node.args, **dict.fromkeys(words - {None}))
                except TypeError as error:
                    wrong.add(f"{ast.unparse(node)}: {error}")
    assert not wrong


def meant(node, known):
    """What a name such as `first.Recipe` stands for; None if it is not there, ... if not ours."""
    first, *names = ast.unparse(node).split(".")
    thing = known.get(first, ...)
    for name in names:
        if not inspect.ismodule(thing) and not isinstance(thing, LateImport):
            return ...
        thing = getattr(thing, name, None)
    return thing
