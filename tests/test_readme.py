"""The README does not go stale: its code blocks run as they stand, what it names is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, copy_project, make_table, run, write

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *ROOT.glob("[a-z]*/README.md"), *ROOT.glob("[a-z]*/*/README.md")]
BLOCKS = [
    block
    for page in ("README.md", "saved_embeddings/README.md")
    for block in re.findall(
        r"^```(\w+)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout with the tables that the README names; the shipped one is cut to 600 rows."""
    root = copy_project(tmp_path_factory.mktemp("readme") / "project")
    shutil.copy(ROOT / "README.md", root)
    shipped = root / "data/campaigns/campaigns.csv.gz"
    pd.read_csv(shipped, dtype=str, keep_default_na=False).head(600).to_csv(shipped, index=False)

    names = {"city": "City", "shop": "Store", "x": "Discount", "sales": "Sales"}
    table = make_table(500)[list(names)].rename(columns=names)
    dates = pd.date_range("2024-01-01", periods=len(table), freq="12h")
    table.insert(0, "Date", dates.strftime("%Y-%m-%d"))
    write(table.head(300), root / "sales.csv")
    write(table.tail(20).drop(columns="Sales"), root / "new_rows.csv")
    customers = table[300:480].rename(columns={"Sales": "Customers"})
    write(customers, root / "customers.csv")
    return root


def test_its_code_blocks_run_as_they_stand(project):
    """In their order, as a reader goes through them; what is installed is there already."""
    assert {language for language, _ in BLOCKS} == {"bash", "python"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = 0
    for language, block in BLOCKS:
        if "pip install" in block:  # as .ci/run does before the tests
            continue
        command = ["bash", "-euc", block] if language == "bash" else [sys.executable, "-c", block]
        done = subprocess.run(
            command, cwd=project, capture_output=True, encoding="utf-8",
            env={**os.environ, "PATH": path}, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 7
    for name in re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)?", README, flags=re.MULTILINE):
        for file in filter(None, name):
            assert (project / "saved_embeddings/campaigns" / file).exists(), file
    assert len(list((project / "saved_embeddings").rglob("new_rows*.csv"))) == 1
    assert (project / "saved_embeddings/customers/embed_model/model.keras").exists()


def test_it_is_one_page():
    lines = README.splitlines()
    assert len(lines) <= 160
    assert max(len(line) for line in lines if "http" not in line) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.parent.relative_to(ROOT)))
def test_its_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("http") or (page.parent / link).exists(), link
    for file in re.findall(r"`((?:data|tests|saved_embeddings)/[\w./]+)`", text):
        made = re.match(r"data/(rossmann|flights)/|saved_embeddings/\w", file)
        assert made or (ROOT / file).exists() or (page.parent / file).exists(), file


def test_every_option_that_a_page_names_exists():
    known = {"--help"}
    for script in ("build_embeddings.py", "build_embed_model.py"):
        known |= set(re.findall(r"--[a-z-]+", run(script, "--help").stdout))
    benchmarks = "".join(path.read_text() for path in (ROOT / "tests/benchmarks").glob("*.py"))
    prepare = "".join(path.read_text() for path in (ROOT / "data").glob("*/prepare.py"))
    known |= set(re.findall(r'"(--[a-z-]+)"', benchmarks + prepare))
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text(encoding="utf-8")))
        named -= {"--dist", "--no-loadscope-reorder", "--check"}  # pytest's and ruff's
        assert named <= known, f"{page}: {named - known}"


def test_where_the_code_is_said_to_be_it_is():
    page = ROOT / "data/README.md"
    places = re.findall(r"`(\w+)` in `([\w/]+\.py)`", page.read_text(encoding="utf-8"))
    assert len(places) >= 5
    for name, file in places:
        path = ROOT / file if file.startswith("build") else page.parent / file
        code = path.read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b|^{name}\b.* = ", code, re.MULTILINE), name
