"""Some hundreds of damaged and hostile inputs; tests/benchmarks/fuzz.py tries 120,000."""

import pytest
from benchmarks import fuzz
from conftest import refused, run


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    return fuzz.Targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("manifest_and_its_use", 1000),
        ("arrays_file", 600),
        ("checkpoint", 600),
        ("table", 250),
        ("options", 500),
    ],
)
def test_anything_is_refused_in_one_sentence_or_used(targets, name, count):
    findings, refusals = fuzz.fuzz(targets, name, range(count), seed="suite")
    assert not findings, findings
    assert refusals or name == "options"


def test_a_finding_is_noticed(targets, monkeypatch):
    """The oracle itself: an error that is no InputError, and one that takes too long."""

    def broken(chance):
        raise KeyError("gone")

    def endless(chance):
        while True:
            pass

    monkeypatch.setattr(targets, "table", broken)
    assert [place[0] for place in fuzz.fuzz(targets, "table", range(1))[0]] == ["KeyError"]
    monkeypatch.setattr(targets, "table", endless)
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    assert [place[0] for place in fuzz.fuzz(targets, "table", range(1))[0]] == ["Slow"]


def test_a_sentence_stays_readable_however_long_a_name_is(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a," + "x" * 50_000 + "\n" + "1,2\n" * 20)
    result = run(
        "build_embeddings.py", "--data", table, "--target", "y", "--output", tmp_path / "o"
    )
    assert "'y'" in refused(result) and len(result.stderr) < 2000
