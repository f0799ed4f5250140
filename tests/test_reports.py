"""Reports: one page that holds all it needs, that no name breaks out of, and whose live numbers are the network's."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from cases import PAIRS, draw

import jaxshallow as js
from jaxshallow import plots, reports
from jaxshallow.programs import train
from jaxshallow.reports import live, pages

pytestmark = pytest.mark.usefixtures("compiled_lightly")

EVIL = "<script>alert(1)</script> <!-- <script> \" & '"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Parsed(HTMLParser):
    """The elements of a page, each of which must be closed in its turn, and the texts of its scripts."""

    VOID = frozenset(("meta", "img"))

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.scripts, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)

    def all(self, tag):
        return [attributes for other, attributes in self.elements if other == tag]


@pytest.fixture(scope="module")
def pieces():
    """Every built-in activation and every head once, and a wide network."""
    built_in = [pair for pair in PAIRS if pair[0] in reports.IN_JAVASCRIPT]
    return [draw(*pair, n_x=2, dtype=np.float32) for pair in built_in] + [draw(n_x=2, n_h=14, dtype=np.float32)]


@pytest.fixture(scope="module")
def report(pieces):
    """A page with a piece of every kind, in which each text that a user can give is evil."""
    drawing, (ax,) = plots.figure()
    ax.set_title("nothing yet")
    svg = plots.encoded(drawing, "svg")
    sections = [
        reports.section(
            EVIL,
            EVIL,
            reports.table([[EVIL, "J"], [EVIL, 0.25]], caption=EVIL),
            reports.picture(svg, EVIL, caption=EVIL),
            reports.picture(plots.encoded(drawing, "png"), "the same as pixels"),
            reports.preformatted(EVIL),
        )
    ]
    for case in pieces:
        n = max(len(case.Y), 2 if case.params.output == "sigmoid" else 1)
        labels = [f"{c} {EVIL}" for c in range(n)]
        sections.append(reports.forward_pass(case.params, case.X, case.Y, names=[EVIL, "b"], labels=labels))
    return reports.page(EVIL, sections)


def test_a_page_is_whole_and_can_be_read_by_machines(report):
    parsed = Parsed(report)
    assert report.startswith("<!DOCTYPE html>")
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == len(parsed.all("main")) == 1
    assert len(parsed.all("h2")) == len(parsed.all("section")) > 1
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(cell.get("scope") in ("row", "col") for cell in parsed.all("th"))


def test_a_page_fetches_nothing(report):
    parsed = Parsed(report)
    assert "http://" not in report
    assert "https://" not in report
    assert parsed.all("link") == parsed.all("base") == []
    sources = [attributes[name] for _, attributes in parsed.elements for name in ("src", "href") if name in attributes]
    assert [source[:14] for source in sources] == ["data:image/svg", "data:image/png"]
    assert "url(" not in report
    assert "@import" not in report


def test_no_name_breaks_out_of_its_place(report, pieces):
    parsed = Parsed(report)
    assert "alert" not in "".join(parsed.scripts[1::2])
    assert len(parsed.scripts) == len(parsed.all("script")) == 2 * len(pieces)
    assert all(json.loads(data)["labels"][0] == f"0 {EVIL}" for data in parsed.scripts[::2])
    assert "<!--" not in report
    assert report.count("<script") == report.count("</script>") == 2 * len(pieces)
    # Title twice, heading, paragraph, row, column, caption, caption of the picture, pre: all of them as text.
    assert sum(EVIL in text for text in parsed.texts) >= 9


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    rows = [["name", "share", "n", "of"], ["a", "93.1 %", 1200, True], ["b", None, np.float32(0.123456), "x"]]
    text = reports.table(rows)
    parsed = Parsed(text)
    assert [cell.get("class") for cell in parsed.all("th")[:4]] == [None, "number", "number", None]
    assert [cell.get("class") for cell in parsed.all("td")] == [None if k % 3 == 2 else "number" for k in range(6)]
    assert ">1,200<" in text
    assert ">0.1235<" in text


def test_a_figure_too_large_for_svg_becomes_png(monkeypatch):
    drawing, _ = plots.figure()
    assert "image/svg+xml" in reports.picture(drawing, "empty")
    monkeypatch.setattr(pages, "LARGEST_SVG", 100)
    assert "image/png" in reports.picture(drawing, "empty")


def test_a_large_network_and_many_examples_are_shown_in_part():
    case = draw(n_x=2, n_h=300, m=2500)
    text = reports.forward_pass(case.params, case.X, case.Y)
    assert "1,000 of the 2,500 examples" in text
    assert "and 288 more" in text
    (columns,) = re.findall(r'data-column="z1">(.*?)</table>', text)
    assert columns.count("<td>") == live.MOST_ROWS


def piece(n_x=2, n_y=1, hidden="tanh", output="sigmoid", X=None, **names):
    params = js.Params(np.ones((4, n_x)), np.zeros((4, 1)), np.ones((n_y, 4)), np.zeros((n_y, 1)), hidden, output)
    return reports.forward_pass(params, np.eye(n_x) if X is None else X, np.eye(n_y, n_x), **names)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: piece(n_x=3), "two features, got n_x = 3"),
        (lambda: piece(hidden=js.Activation(np.sin)), "hidden must be one of sigmoid, tanh"),
        (lambda: piece(X=np.array([[0.0, np.nan], [1.0, 2.0]])), "X must be finite"),
        (lambda: piece(X=np.ones((3, 2))), r"X must be \(n_x, m\) = \(2, m\), got \(3, 2\)"),
        (lambda: piece(labels=["only one"]), "labels must be 2 and names 2, got 1 and 2"),
        (lambda: reports.table([]), "rows must be of one length"),
        (lambda: reports.table([["a", "b"], [1]]), r"got lengths \[2, 1\]"),
        (lambda: reports.picture(b"GIF89a", "a film"), "must be a figure, or an .svg or .png"),
    ],
)
def test_what_no_page_can_show_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Records what each piece shows at its start, after the arrow key to the right, and after a click on the middle.
RECORDER = """<script>
const record = [...document.querySelectorAll(".forward-pass")].map((piece) => {
  const show = () => Object.fromEntries([
    ...[...piece.querySelectorAll("[data-column]")].map((column) =>
      [column.dataset.column, [...column.querySelectorAll("td")].map((cell) => cell.textContent)]),
    ["answer", piece.querySelector("output").textContent],
  ]);
  const start = show();
  piece.querySelector(".handle").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const moved = show();
  const plane = piece.querySelector(".region").getBoundingClientRect();
  piece.querySelector("svg").dispatchEvent(new MouseEvent("click",
    { clientX: plane.x + plane.width / 2, clientY: plane.y + plane.height / 2, bubbles: true }));
  return { start, moved, middle: show(), painted: piece.querySelector(".region").getAttribute("href").length };
});
document.body.insertAdjacentHTML("beforeend", "<pre id='record'></pre>");
document.getElementById("record").textContent = JSON.stringify(record);
</script>
"""


def in_chromium(folder, text, point=""):
    """What the recorder noted, and that the console stayed empty."""
    path = folder / "report.html"
    path.write_text(text.replace("</body>", RECORDER + "</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command = [CHROMIUM, *options, "--enable-logging=stderr", "--v=0", "--dump-dom", f"file://{path}{point}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr, done.stderr
    (record,) = re.findall(r'<pre id="record">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(record))


def assert_shows_the_forward_pass(shown, params, point):
    assert [float(cell) for cell in shown["x"]] == pytest.approx(point, abs=1e-9)
    cache = js.forward_example(params, np.array(point, np.float32).reshape(2, 1))
    for name, column in zip(("z1", "a1", "z2", "a2"), cache, strict=True):
        cells, column = shown[name], np.asarray(column, float).ravel()
        assert len(cells) == min(len(column), live.MOST_ROWS)
        for cell, number in zip(cells, column[: live.MOST_ROWS], strict=True):
            # Half a unit of the last digit, and the rounding of float32.
            digit = 10.0 ** (float(f"0{cell[-3:]}".partition("e")[2] or 0) - (2 if "e" in cell else 3))
            assert float(cell) == pytest.approx(number, abs=0.5 * digit + 1e-5 * abs(number) + 1e-6), name


def assert_names_the_class(shown, params, point):
    answer = np.asarray(js.predict(params, np.array(point, np.float32).reshape(2, 1)))
    if params.output == "softmax" or answer.ndim == 1:
        assert shown["answer"].startswith(f"{answer[0]} {EVIL}, for ")
    elif params.output == "sigmoid":
        assert [f"{k} {EVIL}" in shown["answer"] for k in range(len(answer))] == answer[:, 0].astype(bool).tolist()
    else:
        assert shown["answer"].count(" = ") == len(answer)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH")
@pytest.mark.parametrize("point", ["", "#x=0.25,-0.2"])
def test_the_page_shows_the_numbers_of_forward_example(tmp_path, report, pieces, point):
    found = in_chromium(tmp_path, report, point)
    assert len(found) == len(pieces) == 6
    with jax.disable_jit():
        for record, case in zip(found, pieces, strict=True):
            low, high = plots.limits(np.asarray(case.X, float))
            start = [0.25, -0.2] if point else case.X[:, 0].astype(float).round(3).tolist()
            step = float((high - low)[0, 0]) / 100
            moved = [round(start[0] + step, 3), start[1]]
            middle = ((low + high) / 2).ravel().round(3).tolist()
            for name, where in (("start", start), ("moved", moved)):
                assert_shows_the_forward_pass(record[name], case.params, where)
                assert_names_the_class(record[name], case.params, where)
            # To a pixel.
            assert [float(cell) for cell in record["middle"]["x"]] == pytest.approx(middle, abs=step)
            assert record["painted"] > 500


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on the PATH")
def test_the_report_of_a_training_run_shows_the_network_that_was_saved(capsys, tmp_path):
    with jax.numpy_dtype_promotion("standard"):
        assert train.main(["--data", "moons", "--epochs", "20", "--report", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"python scripts/train.py --data moons --epochs 20 --out {tmp_path} --report" in text
    (record,) = in_chromium(tmp_path, text)
    params, start = js.load(tmp_path / "model.safetensors"), js.data.moons().X[:, 0].round(3).tolist()
    assert_shows_the_forward_pass(record["start"], params, start)


@pytest.mark.parametrize(
    ("name", "pictures"), [("diabetes", {"residuals"}), ("digits", {"confusion", "calibration", "weights"})]
)
def test_a_report_has_the_pictures_that_its_data_allow(capsys, tmp_path, name, pictures):
    options = ["--data", name, "--epochs", "2", "--validation", "0.2", "--report", "--out", str(tmp_path)]
    with jax.numpy_dtype_promotion("standard"):
        assert train.main(options) == 0
    there = {path.stem for path in tmp_path.glob("*.svg")}
    assert there == {path.stem for path in tmp_path.glob("*.png")} == {"learning_curves", *pictures}
    parsed = Parsed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(parsed.all("img")) == len(there)
    assert "validation examples" in " ".join(parsed.texts)
