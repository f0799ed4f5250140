"""Tables of text, one table of cases: `load_table`, the program predict and an exported program read them alike."""

import csv
import dataclasses
import io
import random
import runpy

import jax
import numpy as np
import polars as pl
import pytest
from cases import init, runner

import jaxshallow as js
from jaxshallow import data, tables
from jaxshallow.programs import predict
from jaxshallow.tables import columns, layout, plain

GAP = -999.0  # what stands for a missing value


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Each reads a table's columns a and b: (2, m) with NaN for gaps, or the text of its refusal."""
    folder = tmp_path_factory.mktemp("readers")
    one, zero = np.eye(2, dtype=np.float32), np.zeros((2, 1), np.float32)
    same = js.Params(one, zero, one, zero, "identity", "identity")  # predicts its input
    known = {"columns": [dataclasses.asdict(tables.Column(name, (), (GAP,))) for name in "ab"]}
    js.save(folder / "same.safetensors", same, known)
    js.export(same, folder / "same.py", known)
    program = runpy.run_path(str(folder / "same.py"))

    def of_load_table(path, capsys):
        others = [name for name in tables.open_text(path).names if name[0] == "z"]
        dataset = data.load_table(path, target="y", missing="mean", drop=others)
        order = [dataset.feature_names.index(name) for name in "ab"]
        return (dataset.X if dataset.missing is None else np.where(dataset.missing, np.nan, dataset.X))[order]

    def of_predict(path, capsys):
        code, _, errors = runner(predict.main)(capsys, folder / "p.csv", folder / "same.safetensors", path)
        if code:
            raise ValueError(errors)
        X = pl.read_csv(folder / "p.csv").select("prediction 0", "prediction 1").to_numpy().T
        return np.where(X == GAP, np.nan, X)

    def of_program(path, capsys):
        with open(path, "rb") as file:
            X = program["read"](program["text_lines"](file), "\t" if path.suffix == ".tsv" else ",")
        return np.where(X == GAP, np.nan, X)

    return of_load_table, of_predict, of_program


def answer(reader, path, capsys):
    try:
        return reader(path, capsys)
    except ValueError as error:
        return " ".join(str(error).split())


XY = [[1, 3], [2.5, 4]]
READ = {
    "plain": ("a,b,y\n1,2.5,u\n3,4,v\n", XY),
    "no newline at the end": ("a,b,y\n1,2.5,u\n3,4,v", XY),
    "a byte order mark": ("\ufeffa,b,y\n1,2.5,u\n3,4,v\n", XY),
    "line ends of Windows": ("a,b,y\r\n1,2.5,u\r\n\r\n3,4,v\r\n", XY),
    "line ends of old Macs": ("a,b,y\r1,2.5,u\r3,4,v\r", XY),
    "blank lines everywhere": ("\n\na,b,y\n\n1,2.5,u\n,,\n , ,\n   \n3,4,v\n\n\n", XY),
    "a blank line where there is a gap": ("\na,b,y\n1,,u\n\n3,4,v\n", [[1, 3], [np.nan, 4]]),
    "more separators than columns on a blank line": ("a,b,y\n1,2.5,u\n,,,,,\n3,4,v\n", XY),
    "columns in another order, and another one": ("y,z,b,a\nu,k,2.5,1\nv,l,4,3\n", XY),
    "quotes": ('"a","b","y"\n"1","2.5","u, ""u"""\n3,4,v\n', XY),
    "quotes after spaces": ('a, "b", y\n1, "2.5", "u, u"\n3, "4", v\n', XY),
    "a line break in quotes": ('a,b,y\n1,2.5,"u\n\nu"\n3,4,v\n', XY),
    "a quote inside a field": ('a,b,y\n1,2.5,5" u\n3,4,v\n', XY),
    "a header on two lines": ('a,b,"y"," z\nz"\n1,2.5,u,k\n3,4,v,l\n', XY),
    "spaces around": (" a , b,y\n 1 ,2.5 ,u\n3,\t4,v\n", XY),
    "separators at the line ends": ("a,b,y,\n1,2.5,u,\n3,4,v,\n", XY),
    "separators at the line ends, but for the header": ("a,b,y\n1,2.5,u,\n3,4,v,\n", XY),
    "columns without a name or a value": ("a,,b,,y,\n1,,2.5,,u,\n3,,4,,v, \n", XY),
    "tabs": ("a\tb\ty\n1\t2.5\tu, u\n3\t4\tv\n", XY),
    "semicolons": ("a;b;y\n1;2.5;u, u\n3;4;v\n", XY),
    "bars": ("a|b|y\n1|2.5|u\n3|4|v\n", XY),
    "a line for Excel": ("sep=;\na;b;y\n1;2,5;u\n3;4;v\n", XY),
    "a line for Excel, with tabs": ("sep=\t\r\na\tb\ty\r\n1\t2.5\tu\r\n3\t4\tv\r\n", XY),
    "missing values": (
        "a,b,y\n1,NA,u\nnull,4,v\nNAN,nan,u\nn/a, NaN ,v\n#N/A,3,u\n",
        [[1] + 4 * [np.nan], [np.nan, 4, np.nan, np.nan, 3]],
    ),
    "numbers in every form": (
        "a,b,y\n1e5,+1,u\n-.5,1.,v\n1E-2,007,u\n 1 ,-0,v\n",
        [[1e5, -0.5, 0.01, 1], [1, 1, 7, 0]],
    ),
    "truth": ("a,b,y\nTrue,1,u\nFALSE,0,v\n", [[1, 0], [1, 0]]),
    "decimal commas": ("a;b;y\n1;2,5;u\n3;4;v\n", XY),
    "decimal commas and dots between thousands": (
        "a;b;y\n1.299,99;1.299;u\n3;1.234.567;v\n",
        [[1299.99, 3], [1299, 1234567]],
    ),
    "dots between thousands, by another column": ("a;b;y\n0,25;1.299;u\n3;2.000;v\n", [[0.25, 3], [1299, 2000]]),
    "three decimals": ("a;b;y\n1.299;2.500;u\n3;4;v\n", [[1.299, 3], [2.5, 4]]),
    "decimal commas in quotes": ('a,b,y\n"1,5","2,5",u\n3,4,v\n', [[1.5, 3], [2.5, 4]]),
    "commas between thousands": ('a,b,y\n"1,299.50",2.5,u\n"3,000","4",v\n', [[1299.5, 3000], [2.5, 4]]),
    "commas between thousands, by another column": ('a,b,y\n"1,299",2.5,u\n"3,000",4,v\n', [[1299, 3000], [2.5, 4]]),
    "spaces between thousands": ("a;b;y\n1 299,5;2 000;u\n3;4\u202f000\u202f000;v\n", [[1299.5, 3], [2000, 4e6]]),
    "spaces alone between thousands": ("a,b,y\n1 299,2.5,u\n3 000,4,v\n", [[1299, 3000], [2.5, 4]]),
    "apostrophes between thousands": ("a;b;y\n1'299.5;2’000;u\n3;4;v\n", [[1299.5, 3], [2000, 4]]),
    "both decimal marks": ("a;b;y\n0,25;0.75;u\n3;4;v\n", [[0.25, 3], [0.75, 4]]),
}  # fmt: skip
REFUSED = {
    "empty": ("", "it is empty"),
    "blank lines only": ("\n \n", "it is empty"),
    "header only": ("a,b,y\n", "at least one row"),
    "a row that was cut": ("a,b,y\n1,2.5,u\n3,4\n", "line 3 has 2 fields where the header has 3: was that row cut?"),
    "a row that was cut, after a blank line": ("\na,b,y\n\n1,,u\n3\n", "line 5 has 1 fields where the header has 3"),
    "a cut row and a long one": ("a,b,y\n1,2.5\n1,2,3,4\n1,2,u\n", "line 2 has 2 fields where the header has 3"),
    "a row that is longer": ("a,b,y\n1,2.5,u\n3,4,v,w\n", "line 3 has 4 fields where the header has 3: quote text"),
    "a comment": ("a,b,y\n1,2.5,u\n# so\n3,4,v\n", "line 3 has 1 fields where the header has 3: is it a comment?"),
    "an open quote": ('a,b,y\n1,2.5,u\n3,4,"v\n', "line 3: unexpected end of data"),
    "text after a quote": ('a,b,y\n1,2.5,u\n3,4,"v"w\n', "line 3: ',' expected after '\"'"),
    "a name twice": ("a,b,y,a\n1,2.5,u,1\n", "columns must have names, each its own, got 'a' twice"),
    "an index without a name": (",a,b,y\n0,1,2.5,u\n1,3,4,v\n", "columns must have names, each its own, got ['', 'a',"),
    "an index of R without a name": ("a,b,y\nr1,1,2.5,u\nr2,3,4,v\n", "or where R wrote the names of rows without"),
    "a table as R writes it": ('"a" "b" "y"\n"1" 1 2.5 "u"\n"2" 3 4 "v"\n', "are its columns set apart by spaces?"),
    "a title": ("Sales 2024\n\na,b,y\n1,2.5,u\n3,4,v\n", "line 1 has 1 fields where most lines have 3: the first line"),
    "a title with separators": ("Sales,,\na,b,y\n1,2.5,u\n3,4,v\n", "got ['Sales', '', '']: is it a title?"),
    "comments above": ("# by us, today\na,b,y\n1,2.5,u\n3,4,v\n", "such as a title or a comment"),
    "no header": ("1,2.5,u\n3,4,v\n5,6,u\n", "the first line must name the columns, got numbers"),
    "no header, but integers and text": ("1,2,u\n3,4,v\n5,6,u\n", "must name the columns, got a row of data"),
    "spaces between columns": ("a  b  y\n1  2.5  u\n3  4  v\n", "are its columns set apart by spaces? Put a comma"),
    "bytes of Latin-1 in the header": ("a,b,y,größe\n1,2.5,u,3\n".encode("latin-1"), r"line 1 holds the byte b'\xf6'"),
    "bytes of Latin-1 in a row": ("a,b,y\n1,2.5,u\n3,4,größe\n".encode("latin-1"), r"line 3 holds the byte b'\xf6'"),
    "UTF-16": ("a,b,y\n1,2.5,u\n".encode("utf-16"), "it is UTF-16: save it as UTF-8 first"),
    "UTF-16 without a mark": ("a,b,y\n1,2.5,u\n".encode("utf-16-le"), "line 1 holds a zero byte"),
    "a zero byte": ("a,b,y\n1,2.5,u\n3,4,\0v\n", "line 3 holds a zero byte"),
    "gzip": (b"\x1f\x8b\x08\0", "it is compressed by gzip: unpack it first, gunzip -c"),
    "zstd": (b"\x28\xb5\x2f\xfd\0", "it is compressed by zstd"),
    "Excel": (b"PK\x03\x04\x14\0", "it is an Excel workbook or a zip archive"),
    "Parquet": (b"PAR1\x15\0", "it is Parquet: rename it, to end in .parquet"),
    "a web page": ("\n<!DOCTYPE html>\n<html>", "it is a web page"),
    "JSON": ('[{"a": 1, "b": 2.5, "y": "u"}]', "it is JSON"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    "a number in words": ("a,b,y\n1,2.5,u\n3,much,v\n5,6,u\n", "'b'", "'much'", "row 2"),
    "a minus sign that is none": ("a,b,y\n1,2.5,u\n2,3,u\n3,−4,v\n", "'b'", "'−4'", "row 3"),
    "digits that are not ours": ("a,b,y\n1,2.5,u\n2,3,u\n3,٣,v\n", "'b'", "'٣'", "row 3"),
    "digits set apart": ("a,b,y\n1,2.5,u\n2,3,u\n3,1_000,v\n", "'b'", "'1_000'", "row 3"),
    "hexadecimal digits": ("a,b,y\n1,2.5,u\n2,3,u\n3,0x1F,v\n", "'b'", "'0x1F'", "row 3"),
    "nan in another spelling": ("a,b,y\n1,2.5,u\n2,3,u\n3,nAn,v\n", "'b'", "'nAn'", "row 3"),
    "a question mark": ("a,b,y\n1,2.5,u\n2,3,u\n3,?,v\n", "'b'", "'?'", "row 3"),
    "infinity": ("a,b,y\n1,2.5,u\n3,Infinity,v\n", "'b'", "row 2"),
    "a number out of range": ("a,b,y\n1,2.5,u\n3,1e999,v\n", "'b'", "row 2"),
    "a number that may be two": ("a;b;y\n0,25;0.75;u\n1.299;4;v\n", "'1.299', which beside '0,25' and '0.75' may be"),
    "thousands that may be decimals": ('a,b,y\n"1,299",2,u\n"3,000",4,v\n', "'a'", "'1,299'", "row 1"),
}  # fmt: skip


def test_tables_are_read_alike_by_every_reader(readers, table, capsys, as_in_numpy):
    for case, (text, X) in READ.items():
        for reader in readers:
            found = answer(reader, table("t.csv", text), capsys)
            assert not isinstance(found, str), (case, reader.__name__, found)
            np.testing.assert_allclose(found, X, rtol=1e-6, err_msg=f"{case}: {reader.__name__}")


def test_tables_are_refused_alike_by_every_reader(readers, table, capsys, as_in_numpy):
    for case, (text, *parts) in REFUSED.items():
        for reader in readers:
            found = answer(reader, table("t.csv", text), capsys)
            assert isinstance(found, str), (case, reader.__name__, found)
            assert all(part in found for part in parts), (case, reader.__name__, found)


PIECES = ["", "1", "x y", '"a"', '"a,b"', '"a""b"', '"x\ny"', ' "s"', '5" p', "é", "  ", "1.5", '""', "a;b", "\x0b"]


def test_polars_reads_only_where_it_reads_what_the_csv_module_does(tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "PART", 16)  # so that lines and quotes lie across parts
    draw, path, plainly = random.Random(0), tmp_path / "t.csv", 0
    for _ in range(300):
        n, mark, end = draw.choice([1, 2, 2, 3]), draw.choice(",,;\t"), draw.choice(["\n", "\n", "\r\n", "\r"])
        rows = [[draw.choice(PIECES) for _ in range(n if draw.random() < 0.98 else n + 1)] for _ in range(4)]
        lines = [mark.join(row) for row in [[f"c{k}" for k in range(n)], *rows]]
        path.write_bytes((end.join(lines) + draw.choice(["", end, 2 * end])).encode())
        with open(path, "rb") as file:
            try:
                found = layout.read_table(layout.text_lines(file))
                expected = [[cell.strip() for cell in row] for row in found.rows]
            except ValueError:
                with pytest.raises((ValueError, pl.exceptions.PolarsError)):
                    tables.open_text(path).scan().collect()
                continue
        text = tables.open_text(path)
        frame = text.scan().collect()
        assert frame.columns == found.names
        assert [[(cell or "").strip() for cell in row] for row in frame.rows()] == expected, path.read_bytes()
        plainly += text.source == path
    assert plainly > 50


def test_what_a_model_learned_of_decimal_marks_reads_a_row_alone(table, capsys, as_in_numpy, tmp_path):
    rows = "".join(f"{k}.299,{k}0;{k},5;{'uv'[k % 2]}\n" for k in range(1, 9))
    dataset = data.load_table(table("t.csv", "a;b;y\n" + rows))
    np.testing.assert_array_equal(dataset.X[:, 0], [1299.1, 1.5])
    known = {"columns": [dataclasses.asdict(column) for column in dataset.columns]}
    assert tables.columns_of(known) == dataset.columns
    with pytest.raises(ValueError, match="column 'a' of a model must have a decimal mark"):
        tables.columns_of({"columns": [{"name": "a", "decimal": 5}]})
    one, zero = np.eye(2, dtype=np.float32), np.zeros((2, 1), np.float32)
    same = js.Params(one, zero, one, zero, "identity", "identity")
    js.save(tmp_path / "same.safetensors", same, known)
    js.export(same, tmp_path / "same.py", known)
    path = table("one.csv", "a;b\n1.299;2\n")
    assert predict.main([*map(str, (tmp_path / "same.safetensors", path)), "--out", str(tmp_path / "p.csv")]) == 0
    assert pl.read_csv(tmp_path / "p.csv")["prediction 0"].to_list() == [1299]
    assert runpy.run_path(str(tmp_path / "same.py"))["read"](io.StringIO("a;b\n1.299;2\n")).tolist() == [[1299], [2]]


def test_numbers_of_text_are_numbers_in_parquet(table, tmp_path, as_in_numpy):
    path = table("t.csv", "sep=;\na;b;z\n1,5;True;007\n;0,25;8\n;;\n")
    model = tmp_path / "m.safetensors"
    known = {"columns": [dataclasses.asdict(tables.Column(name, (), (GAP,))) for name in "ab"]}
    js.save(model, init(jax.random.key(0), 2, 2), known)
    assert predict.main([str(model), str(path), "--out", str(tmp_path / "p.parquet"), "--quiet"]) == 0
    read = pl.read_parquet(tmp_path / "p.parquet").select("a", "b", "z")
    assert read.rows() == [(1.5, 1.0, 7), (None, 0.25, 8)]


def test_targets_and_text_with_commas(table):
    dataset = data.load_table(table("t.csv", "a;b;y\n1;7,5;1.299,99\n2;x,y;1.000\n3;x;0,5\n"))
    assert dataset.feature_names == ("a", "b=7,5", "b=x", "b=x,y")
    np.testing.assert_array_equal(dataset.Y, [[1299.99, 1000, 0.5]])


def test_ten_thousand_columns_cost_what_their_text_does(readers, tmp_path, capsys, as_in_numpy):
    """No step over the rows may hold an expression for each column: filtering so took minutes."""
    n, path = 10_000, tmp_path / "wide.csv"
    names = [f"c{k}" for k in range(n - 2)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[*names, "b", "a"], [], *[[k] * n for k in range(3)], []])
    for reader in readers[1:]:
        np.testing.assert_array_equal(reader(path, capsys), [[0, 1, 2]] * 2)
    text = tables.open_text(path)
    assert text.blank.tolist() == [0, 4]
    assert "c9" not in text.scan().explain().partition("FILTER")[2].partition("FROM")[0]


def test_numbers_of_many_columns_are_read_at_once(monkeypatch):
    frame = pl.DataFrame({f"c{k}": ["1", " 2", "NA"] for k in range(50)})
    known = [tables.Column(name, (), (0.0,)) for name in frame.columns]
    calls, real = [], columns.as_words
    monkeypatch.setattr(columns, "as_words", lambda series: calls.append(series) or real(series))
    np.testing.assert_array_equal(tables.encode(frame, known), [[1, 2, 0]] * 50)
    assert not calls


def test_another_kind_of_file_under_a_tables_name_is_named(table):
    for name, contents, message in (
        ("t.parquet", b"ARROW1\0\0", "it is an Arrow file: rename it, to end in .feather"),
        ("t.feather", b"PAR1\0\0", "it is Parquet: rename it, to end in .parquet"),
        ("t.parquet", b"\x1f\x8b\x08\0", "it is compressed by gzip"),
    ):
        with pytest.raises(ValueError, match=message):
            data.load_table(table(name, contents))


def test_names_may_be_numbers_that_count_or_rise_and_values(table):
    names = [f"{400 + k / 2}" for k in range(12)]  # wavelengths
    text = ",".join([*names, "y"]) + "\n" + ",".join(["1"] * 12 + ["u"]) + "\n" + ",".join(["2"] * 12 + ["v"])
    assert data.load_table(table("t.csv", text)).feature_names == tuple(names)
    assert data.load_table(table("t.csv", "late,y\nlate,1.5\non time,2.5\n")).feature_names == (
        "late=late",
        "late=on time",
    )
    assert data.load_table(table("t.csv", "0,1,2\n5,6,7.5\n4,4,8.5\n")).feature_names == ("0", "1")


def test_a_header_that_stands_among_the_rows_again_is_named(table):
    with pytest.raises(ValueError, match="'a' in row 3, which is not a number: the header stands there again"):
        data.load_table(table("t.csv", "a,y\n1,u\n2,v\na,y\n3,u\n"))
