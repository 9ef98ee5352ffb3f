"""What both scripts say of their result at the end of a run, and leave behind for the report."""

import pandas as pd
from conftest import call, make_table, read_json, succeeded, tree, write

FIRST, SECOND = "build_embeddings.py", "build_embed_model.py"


def test_both_scripts_end_with_a_verdict_and_the_report(tmp_path):
    table = write(make_table(400), tmp_path / "sales.csv")
    output = tmp_path / "set"
    options = ["--data", table, "--target", "bought", "--drop", "sales", "paint", "--epochs", 2]
    first = succeeded(call(FIRST, *options, "--output", output))
    second = succeeded(call(SECOND, "--embeddings", output, "--epochs", 2))
    for result, folder in ((first, output), (second, output / "embed_model")):
        assert result.stdout.splitlines()[-1].endswith(str(output / "report.html"))
        assert (
            "always predicting the class shares" in result.stdout and "what next:" in result.stdout
        )
        importance = pd.read_csv(folder / "importance.csv")
        assert importance["importance"].is_monotonic_decreasing
        expected = {"city", "shop", "online"} | ({"x", "y", "grade"} if folder != output else set())
        assert set(importance["column"]) == expected
        assert {"curves.png", "test_rows.svg", "importance.png", "categories.svg"} <= set(
            tree(folder / "pictures")
        )
        found = read_json(folder / "report.json")
        assert found["verdict"]["text"].split(".")[0] in result.stdout.replace("\n", " ")
        assert found["threshold"]["positive"] == "yes" and found["date"]
    beside = [line["with"] for line in found["verdict"]["comparisons"]]
    assert beside[-1] == "the categorical columns alone"

    succeeded(call(SECOND, "--embeddings", output, "--epochs", 1, "--no-report", "--replace"))
    left = set(tree(output))
    assert "report.html" not in left and "embed_model/model.keras" in left
    assert not any(name.startswith("embed_model/pictures") for name in left)
    assert "embed_model/importance.csv" not in left
