"""The report as its readers meet it: opened from a file in a real browser, and clicked.

The browser tests drive Chromium (Debian: apt-get install chromium) through its DevTools protocol,
over a pipe, which needs no further package; they skip where no Chromium is installed.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.reports.errors import write_errors
from data.reports.report import LARGEST, write_report
from data.sets.saving import write_vectors

HOSTILE = "<script>document.title = 'run'; window.run = 1</script>"
CATEGORIES = [
    HOSTILE,
    "</script><script>window.run = 1</script><img src=x onerror='window.run = 1'>",
    "quotes \" and ' and & and {{data}} and \\u003c",
    "emoji 🎈",
    "北京",
    "القاهرة",
    "two\nlines",
    "long " + "name " * 60,
    "-->\u2028]]>",
    "",
    "São Paulo",
    "Lyon",
    "Zürich",
]


# ------------------------------------------------------------------------------ sets to report on


def make_set(folder, columns=None, task="regression", final=True, carried=False, missing=0):
    """Write the files of a set with made-up numbers, and return its manifest.

    `columns` maps names to lists of categories; `carried` leaves embed_model/ alone.
    """
    random = np.random.default_rng(0)
    columns = columns or {"city": CATEGORIES, "shop": list(range(1, 41)), "<b>open</b>": [True]}
    manifest = {
        "format": "keras-entity-embeddings",
        "version": 1,
        "table": "sales <i>",
        "columns": {},
        "numeric": {"price": {"role": "numeric"}},
        "target": {"name": "profit & loss", "task": task, "classes": None},
        "split": {"seed": 0, "by": "day", "sources": ["sales.csv"]},
        "options": {"seed": 0, "epochs": None, "data": ["sales.csv"]},
        "versions": {"tensorflow": "2.21.0"},
    }
    if task != "regression":
        manifest["target"]["classes"] = ["no", "yes"] if task == "binary" else ["a", "b", "c"]
    arrays = {}
    for name, categories in columns.items():
        cardinality = len(categories) + 2
        size = max(2, min(cardinality // 2, 50))
        # the first category is the most frequent one, and its neighbour is the second
        vectors = random.normal(size=(cardinality, size)).astype("float32")
        if len(categories) > 1:
            vectors[3] = vectors[2] * 1.01
        arrays[name] = vectors
        manifest["columns"][name] = {
            "role": "categorical",
            "type": type(categories[0]).__name__,
            "vocabulary": categories,
            "cardinality": cardinality,
            "size": size,
            "rows": [missing, 0, *range(1000 + len(categories), 1000, -1)],
        }
        if task != "multiclass":
            means = [None, None, *np.round(random.normal(10, 3, len(categories)), 3).tolist()]
            manifest["columns"][name]["mean_target"] = means
    own = folder / "embed_model" if carried else folder
    write_vectors(own, manifest, arrays)
    scores = {
        "regression": {"rmse": 12.5, "mae": 9.25, "r2": 0.5, "mape": None},
        "binary": {"log_loss": 0.5, "accuracy": 0.8, "roc_auc": 0.75, "average_precision": 0.6},
        "multiclass": {"log_loss": 0.9, "accuracy": 0.6, "macro_f1": 0.55},
    }[task]
    for part in [own] if carried else [folder, folder / "embed_model"][: 1 + final]:
        part.mkdir(parents=True, exist_ok=True)
        metrics = {
            "task": task,
            "rows": {"train": 1_000_000, "validation": 1000, "test": 2000},
            "seconds": {"train": 40.5, "total": 50.25},
            "test": scores,
            "validation": scores,
            "baseline": {key: value and value * 2 for key, value in scores.items()},
        }
        (part / "metrics.json").write_text(json.dumps(metrics))
        history = {"epoch": [1, 2, 3], "loss": [3.0, 1.5, 1.0], "val_loss": [2.0, 1.25, 1.5]}
        pd.DataFrame(history).to_csv(part / "history.csv", index=False)
    actual = random.normal(10, 3, 200) if task == "regression" else random.integers(0, 2, 200)
    predicted = np.full((200, 3), 1 / 3)
    if task == "regression":
        predicted = np.column_stack([actual + 1, actual + 1])  # mean and median
    if task == "binary":
        predicted = np.full((200, 2), 0.5)
    codes = [random.integers(0, c["cardinality"], 200) for c in manifest["columns"].values()]
    write_errors(own, manifest, [(np.column_stack(codes), actual, predicted)])
    if final and not carried:
        comparison = {"model": ["frozen", "<u>scratch</u>"], "rmse": [1.5, 1.75]}
        pd.DataFrame(comparison).to_csv(folder / "embed_model" / "comparison.csv", index=False)
    return manifest


def data_of(path):
    """The JSON inside a report."""
    text = path.read_text(encoding="utf-8")
    return json.loads(
        text.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    )


# ------------------------------------------------------------------------------------- the browser


class Browser:
    """A headless Chromium with one page, over the DevTools protocol on file descriptors 3 and 4."""

    FLAGS = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
    )

    def __init__(self, program, profile):
        import fcntl  # not on Windows

        pipes = [os.pipe(), os.pipe()]
        # above 9, so that neither is overwritten while they become 3 and 4
        reading, writing = (
            fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (pipes[0][0], pipes[1][1])
        )
        become = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
            "os.execvp(sys.argv[3], sys.argv[3:])"
        )
        command = [sys.executable, "-c", become, str(reading), str(writing), program, *self.FLAGS]
        self.process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(reading, writing),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (reading, writing, pipes[0][0], pipes[1][1]):
            os.close(end)
        self.input, self.output = pipes[1][0], pipes[0][1]
        self.numbers, self.buffer, self.events, self.session = itertools.count(1), b"", [], None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _receive(self, seconds=60):
        while b"\0" not in self.buffer:
            assert select.select([self.input], [], [], seconds)[0], "Chromium does not answer"
            part = os.read(self.input, 1 << 16)
            assert part, "Chromium has gone"
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=1200, height=900, dark=False):
        """Open a file at a size of the window, in light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait("document.readyState == 'complete' && !!document.querySelector('#title')")

    def run(self, code):
        """The value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, code, seconds=30):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(code):
            assert time.monotonic() < end, f"never true: {code}"
            time.sleep(0.02)

    def text(self, selector):
        """The text that is shown in an element, "" when it is hidden."""
        node = f"document.querySelector({json.dumps(selector)})"
        return self.run(f"{node}.checkVisibility() ? {node}.innerText : ''")

    def point(self, selector):
        """The middle of an element on the screen, scrolled to."""
        return self.run(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            "node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )

    def move(self, selector):
        x, y = self.point(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return x, y

    def click(self, selector):
        x, y = self.move(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key):
        options = {"key": key, "windowsVirtualKeyCode": {"Tab": 9, "Enter": 13}.get(key, 0)}
        if key == "Enter":
            options["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **options)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def requests(self):
        """Addresses that the page has asked for since it was opened."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self):
        """Errors and refusals in the console since the page was opened."""
        return [
            event["params"]
            for event in self.events
            if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
        ]

    def picture(self, path):
        """Save the whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        answer = self.call(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1}
        )
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        os.close(self.input)
        os.close(self.output)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None or os.name == "nt":
        pytest.skip("no Chromium on a pipe here: the report is not opened in a browser")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    return write_report(folder, make_set(folder))


# ------------------------------------------------------------------------------------- what it does


def test_nothing_runs_or_loads_and_markup_stays_text(browser, report):
    browser.open(report)
    assert browser.requests() == [report.as_uri()]
    assert browser.complaints() == []
    assert browser.run("window.run") is None
    assert browser.run("document.title") == "sales <i> – entity embeddings"
    assert browser.text("h1") == "sales <i>"
    assert browser.text("#chosen > bdi") == HOSTILE
    assert (
        browser.run("document.querySelectorAll('main i:not(.legend i), main u, img').length") == 0
    )
    # and were a script to get in, it would not run
    browser.run("document.body.append(Object.assign(document.createElement('script'),"
                "{textContent: 'window.run = 1'}))")  # fmt: skip
    browser.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))")
    for _ in range(100):  # the refusals come when they come
        if len(browser.complaints()) == 2:
            break
        browser.run("new Promise(done => setTimeout(done, 20))")
    assert browser.run("window.run") is None
    refused = [str(complaint) for complaint in browser.complaints()]
    assert len(refused) == 2
    assert all("violates the following Content Security Policy" in text for text in refused)


def test_search_finds_a_category_and_shows_its_neighbours(browser, report):
    browser.open(report)
    browser.click("#search")
    browser.type("sao p")  # accents and case do not matter
    assert browser.text("#results li").startswith("São Paulo")
    browser.click("#results li")
    assert browser.text("#chosen > bdi") == "São Paulo"
    row = CATEGORIES.index("São Paulo")
    column = data_of(report)["columns"][0]
    near = [column["names"][i] for i in column["neighbours"][row]]
    assert len(near) == 8
    shown = browser.run("[...document.querySelectorAll('#chosen li bdi')].map(b => b.textContent)")
    assert shown == [name or '""' for name in near]
    assert browser.run("document.querySelector('#results').hidden")
    # a neighbour leads on to its own neighbours
    browser.click("#chosen li:nth-child(2) button")
    assert browser.run("document.querySelector('#chosen > bdi').textContent") == shown[1]


def test_search_goes_over_all_columns_and_says_when_there_is_none(browser, report):
    browser.open(report)
    browser.click("#search")
    browser.type("17")
    browser.click("#results li")
    assert (
        browser.run("document.querySelector('#columns [aria-pressed=true] bdi').textContent")
        == "shop"
    )
    assert browser.text("#chosen > bdi") == "17"
    browser.click("#search")
    browser.type("no such thing")
    assert browser.text("#results") == "No such category in this report"
    browser.press("Enter")
    assert browser.text("#chosen > bdi") == "17"


def test_the_pointer_shows_name_rows_and_mean(browser, report):
    browser.open(report)
    browser.wait("drawn.length > 0")
    assert browser.run("document.querySelector('#tip').hidden")
    column = data_of(report)["columns"][0]
    i = CATEGORIES.index("Lyon")
    browser.run(f"drawn.find(point => point.i == {i}).node.id = 'lyon'")
    browser.move("#lyon")
    tip = browser.text("#tip")
    assert "Lyon" in tip and f"{column['rows'][i]:,} training rows" in tip
    assert f"mean profit & loss {column['means'][i]:.4g}" in tip
    browser.click("#lyon")
    assert browser.text("#chosen > bdi") == "Lyon"
    assert f"{column['rows'][i]:,}" in browser.text("#chosen dl")


def test_with_the_keyboard_alone(browser, report):
    browser.open(report)
    browser.wait("drawn.length > 0")
    focused = "document.activeElement.id || document.activeElement.textContent"
    for _ in range(8):
        browser.press("Tab")
        if browser.run(focused) == "search":
            break
    assert browser.run(focused) == "search"
    browser.type("o")
    browser.press("ArrowDown")
    first = browser.run("document.querySelector('[aria-selected=true]').id")
    browser.press("ArrowUp")
    assert first != browser.run("document.querySelector('[aria-selected=true]').id")
    browser.press("Escape")
    assert browser.run("document.querySelector('#results').hidden")
    browser.run("document.activeElement.value = ''")
    browser.type("zur")
    browser.press("Enter")
    assert browser.text("#chosen > bdi") == "Zürich"
    browser.press("Tab")  # the columns
    assert browser.run(focused).startswith("city")
    browser.press("Tab")
    browser.press("Enter")
    assert browser.run("page.columns[state.column].name") == "shop"
    browser.press("Tab")
    browser.press("Tab")
    assert browser.run(focused) == "map"
    assert "1 training row" not in browser.text("#tip")  # the tip is there on focus alone
    start = browser.text("#tip")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        browser.press(key)
        if browser.text("#tip") != start:
            break
    assert browser.text("#tip") != start
    assert browser.text("#tip").split("\n")[0] in browser.run(
        "document.querySelector('#said').textContent"
    )
    browser.press("Enter")
    assert browser.text("#chosen > bdi") == browser.text("#tip").split("\n")[0]
    width = browser.run("Math.max(...drawn.map(p => p.x)) - Math.min(...drawn.map(p => p.x))")
    browser.press("+")
    assert browser.run("drawn.length") < 40 or width < browser.run(
        "Math.max(...drawn.map(p => p.x)) - Math.min(...drawn.map(p => p.x))"
    )


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling(browser, report, dark):
    browser.open(report, width=360, height=780, dark=dark)
    browser.wait("drawn.length > 0")
    assert browser.run("document.documentElement.scrollWidth") == 360
    long = next(i for i, name in enumerate(CATEGORIES) if name.startswith("long"))
    browser.run(f"choose(0, {long})")
    assert browser.run("document.documentElement.scrollWidth") == 360


def test_light_and_dark_follow_the_system_and_the_button(browser, report):
    light = (
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)"
        ".reduce((sum, part) => sum + Number(part), 0) > 380"
    )
    browser.open(report, dark=True)
    assert not browser.run(light)
    browser.click("#theme")
    assert browser.run(light)
    browser.open(report)
    assert browser.run(light)
    browser.click("#theme")
    assert not browser.run(light)
    ink = "getComputedStyle(document.querySelector('.label')).fill"
    assert browser.run(ink) == "rgb(232, 234, 236)"


def test_names_on_the_map_do_not_overlap(browser, tmp_path):
    names = [f"category {i}" for i in range(400)]
    path = write_report(tmp_path, make_set(tmp_path, {"many": names}))
    browser.open(path)
    browser.wait("drawn.length > 0")
    boxes = browser.run(
        "[...document.querySelectorAll('#map .label')].map(node => node.getBBox())"
        ".map(box => [box.x, box.y + 2, box.x + box.width, box.y + box.height - 2])"
    )
    assert len(boxes) > 10
    for a, b in itertools.combinations(boxes, 2):
        assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_on_paper_every_column_has_its_map(browser, report):
    browser.open(report)
    browser.call("Page.printToPDF")
    assert browser.run("document.querySelectorAll('#printed svg').length") == 3
    assert browser.run("document.querySelectorAll('#printed svg circle').length") == 13 + 40 + 1


def test_errors_lead_to_the_category_on_the_map(browser, report):
    browser.open(report)
    name = browser.text("#errors td button")
    browser.click("#errors td button")
    assert browser.text("#chosen > bdi").startswith(name[:20])


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("regression", {"final": False}),
        ("binary", {}),
        ("multiclass", {}),
        ("binary", {"carried": True}),
        ("regression", {"columns": {"only": ["one"]}}),
        ("regression", {"columns": {"two": [False, True]}, "missing": 5}),
        ("multiclass", {"columns": {f"column {i}": list("abcdef") for i in range(50)}}),
    ],
)
def test_every_kind_of_set_opens_without_a_complaint(browser, tmp_path, task, options):
    path = write_report(tmp_path, make_set(tmp_path, task=task, **options))
    for width in (1200, 360):
        browser.open(path, width=width)
        browser.wait("drawn.length > 0")
        assert browser.complaints() == []
        assert browser.run("document.documentElement.scrollWidth") == width
        assert not browser.run("/undefined|NaN|object|Infinity/.test(document.body.innerText)")
    assert ("mean profit" in browser.text("#legend")) == (task != "multiclass")
    if options.get("missing"):
        browser.run("choose(0, page.columns[0].names.indexOf(null))")
        assert browser.text("#chosen > bdi") == "(missing)"


# -------------------------------------------------------------------------------- without a browser


def test_the_data_cannot_leave_its_element(report):
    text = report.read_text(encoding="utf-8")
    assert text.count("</script>") == text.count("<script") == 2
    assert "\u2028" not in text
    names = data_of(report)["columns"][0]["names"]
    assert sorted(names) == sorted(name[:400] for name in CATEGORIES)


def test_the_page_stays_small_with_very_many_categories(tmp_path, monkeypatch):
    assert LARGEST < 5_000_000
    monkeypatch.setattr("data.reports.report.LARGEST", 300_000)
    columns = {f"column {i}": [f"{i} {j} " + "x" * 200 for j in range(500)] for i in range(4)}
    path = write_report(tmp_path, make_set(tmp_path, columns, final=False))
    assert path.stat().st_size <= 300_000
    columns = data_of(path)["columns"]
    assert all(column["categories"] == 500 for column in columns)
    assert columns[0]["names"][0] == "0 0 " + "x" * 200  # the most frequent ones


def test_names_of_the_template_in_the_table_are_only_names(tmp_path):
    manifest = make_set(tmp_path) | {"table": "{{data}} {{policy}}"}
    path = write_report(tmp_path, manifest)
    assert data_of(path)["table"] == "{{data}} {{policy}}"
    assert "<title>{{data}} {{policy}} –" in path.read_text(encoding="utf-8")


def test_where_the_files_lay_is_not_told(tmp_path):
    manifest = make_set(tmp_path) | {"options": {"data": [str(tmp_path / "sales.csv")]}}
    text = write_report(tmp_path, manifest).read_text(encoding="utf-8")
    assert "sales.csv" in text and str(tmp_path) not in text


def test_a_training_that_failed_still_has_a_report(browser, tmp_path):
    manifest = make_set(tmp_path)
    failed = pd.DataFrame({"epoch": [1, 2], "loss": [np.nan, np.inf], "val_loss": [np.nan] * 2})
    failed.to_csv(tmp_path / "history.csv", index=False)
    browser.open(write_report(tmp_path, manifest))
    assert browser.complaints() == []
    assert browser.run("document.querySelectorAll('#trust .chart').length") == 1  # the other's


def test_the_same_set_gives_the_same_page(tmp_path):
    manifest = make_set(tmp_path)
    first = write_report(tmp_path, manifest).read_bytes()
    assert write_report(tmp_path, manifest).read_bytes() == first


def test_a_hard_link_to_the_report_before_is_not_written_through(tmp_path):
    manifest = make_set(tmp_path)
    (tmp_path / "before.html").write_text("before")
    (tmp_path / "report.html").hardlink_to(tmp_path / "before.html")
    write_report(tmp_path, manifest)
    assert (tmp_path / "before.html").read_text() == "before"


def test_errors_are_means_over_the_test_rows_of_a_category(tmp_path):
    manifest = make_set(tmp_path, {"c": ["a", "b"]})
    codes = np.array([[2]] * 10 + [[3]] * 10 + [[0], [1]])
    actual = np.array([1.0] * 20 + [9.0, 50.0])
    predicted = np.array([3.0] * 10 + [2.0] * 10 + [9.0, 0.0])
    predicted = np.column_stack([predicted, predicted])  # mean and median
    parts = (slice(0, 5), slice(5, 22))  # the means are those of all of them
    write_errors(tmp_path, manifest, ((codes[p], actual[p], predicted[p]) for p in parts))
    table = pd.read_csv(tmp_path / "errors.csv")
    assert table["category"].tolist() == ["a", "b", "(unseen)", "(missing)"]  # few rows come last
    assert table["mean_absolute_error"].tolist() == [2, 1, 50, 0]
    assert table["rows"].tolist() == [10, 10, 1, 1]
    block = (np.array([[2], [2]]), np.array([0, 1]), np.array([[0.5, 0.5]] * 2))
    write_errors(tmp_path, manifest, [block])
    (row,) = pd.read_csv(tmp_path / "errors.csv").to_dict("records")
    assert row["log_loss"] == pytest.approx(np.log(2)) and row["share_actual"] == 0.5


def test_commands_name_the_folder_that_the_set_will_be_in(tmp_path):
    manifest = make_set(tmp_path)
    (tmp_path / "embed_model").mkdir(exist_ok=True)
    (tmp_path / "embed_model/model.keras").touch()
    text = write_report(tmp_path, manifest, Path("/sets/my sales")).read_text(encoding="utf-8")
    assert "--embeddings '/sets/my sales' --predict" in text.replace("\\u0027", "'")
