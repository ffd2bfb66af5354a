"""Training data as people save it: dialects and encodings are found and said, and a value that does not fit is named."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from grpc_server.checks.data_file import DataFile
from grpc_server.checks.training_data import Samples, read_samples
from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype
from tests.support.servers.drafted_models import init

FRAME = pd.DataFrame({"größe": [1.5, -2.25, 3.0], "ort": ["Zürich", "Genève", "Bern"], "n": [1, 2, 3]})


def read(file: Path, known: dict[str, Dtype] | None = None, **dialect: str) -> Samples:
    return read_samples(DataFile(file, **dialect), tuple(FRAME.columns), known or {}, times=True)


def written(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(
    ("options", "note"),
    [
        # dathere/datapusher-plus#256, HumanSignal/label-studio#8569: semicolons.
        pytest.param({"sep": ";"}, "--sep ';'", id="semicolon"),
        pytest.param({"sep": "\t"}, "--sep '\\t'", id="tab"),
        pytest.param({"sep": "|"}, "--sep '|'", id="bar"),
        pytest.param({"sep": ";", "decimal": ","}, "--sep ';' --decimal ','", id="decimal-comma"),
        pytest.param({"sep": "\t", "decimal": ","}, "--sep '\\t' --decimal ','", id="tab-and-decimal-comma"),
        # oc-courses/perfectionnez_vous_en_python#6: a byte that is not UTF-8.
        pytest.param({"encoding": "cp1252"}, "--encoding cp1252", id="cp1252"),
        pytest.param({"encoding": "cp1252", "sep": ";", "decimal": ","}, "--sep ';' --decimal ',' --encoding cp1252", id="excel"),
        pytest.param({"encoding": "utf-16"}, "--encoding utf-16", id="utf-16"),
        pytest.param({"encoding": "utf-16-le"}, "--encoding utf-16-le", id="utf-16-without-a-mark"),
        # betagouv/ma-cantine#753: a mark before the first name.
        pytest.param({"encoding": "utf-8-sig"}, "", id="utf-8-with-a-mark"),
        pytest.param({}, "", id="plain"),
        pytest.param({"quoting": 1}, "", id="quoted"),
    ],
)
def test_dialect_is_found_and_said(tmp_path: Path, options: dict[str, Any], note: str) -> None:
    FRAME.to_csv(tmp_path / "data.csv", index=False, **options)
    samples = read(tmp_path / "data.csv")
    assert {name: list(values) for name, values in samples.values.items()} == FRAME.to_dict("list")
    assert samples.notes == ([f"data.csv is read with {note}, as it looks; pass others if that is wrong"] if note else [])


def test_stated_dialect_is_taken_and_not_said(tmp_path: Path) -> None:
    file = written(tmp_path / "data.csv", "größe~ort~n\n1,5~Zürich~1\n", "cp850")
    samples = read(file, separator="~", decimal=",", encoding="cp850")
    assert [list(values) for values in samples.values.values()] == [[1.5], ["Zürich"], [1]]
    assert samples.notes == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('"größe, m";"ort"\n1;"a;b"\n', {"größe, m": [1], "ort": ["a;b"]}, id="comma-in-a-name"),
        pytest.param("größe,ort;1,n\n1,x,2\n", {"größe": [1], "ort;1": ["x"], "n": [2]}, id="semicolon-in-a-name"),
        pytest.param("sep=;\ngröße;n\n1;2\n", {"größe": [1], "n": [2]}, id="excel-hint"),
        pytest.param("größe;n\n1,5;\n2;3\n", {"größe": [1.5, 2.0], "n": [None, 3.0]}, id="few-decimal-commas"),
        pytest.param("n\n1\n2\n", {"n": [1, 2]}, id="one-column"),
        pytest.param("größe;n\n1,5;2\n", {"größe": [1.5], "n": [2]}, id="one-row"),
        pytest.param("größe,n\r\n1,2\r\n", {"größe": [1], "n": [2]}, id="windows-lines"),
        pytest.param("größe,n,\n1,2,\n", {"größe": [1], "n": [2], "Unnamed: 2": [None]}, id="separator-at-each-end"),
        pytest.param("größe,n\n1,2,\n3,4,\n", {"größe": [1, 3], "n": [2, 4]}, id="separator-at-the-ends-of-rows"),
        pytest.param(",größe,n\n0,1,2\n1,3,4\n", {"größe": [1, 3], "n": [2, 4]}, id="index"),
        pytest.param("größe,n\nr1,1,2\nr2,3,4\n", {"größe": [1, 3], "n": [2, 4]}, id="names-of-rows"),
        pytest.param("n,d\n1,2026-01-31\n", {"n": [1], "d": ["2026-01-31T00:00:00Z"]}, id="iso-date"),
        pytest.param("n,d\n1,31.12.2026\n", {"n": [1], "d": ["31.12.2026"]}, id="other-date"),
        pytest.param("n,n\n1,2\n", None, id="two-columns-of-one-name"),
    ],
)  # fmt: skip
def test_layout(tmp_path: Path, text: str, expected: dict[str, Any] | None) -> None:
    file = written(tmp_path / "data.csv", text)
    if expected is None:
        with pytest.raises(ModelError, match=r"data.csv has two columns 'n': rename one"):
            read(file)
        return
    assert {name: list(values) for name, values in read(file).values.items()} == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_plain_letters_in_wide_encodings(tmp_path: Path, encoding: str) -> None:
    """Two bytes a letter are valid UTF-8 too."""
    assert list(read(written(tmp_path / "data.csv", "n,m\n1,2\n", encoding)).values) == ["n", "m"]


def test_tab_may_be_stated_as_it_is_said(tmp_path: Path) -> None:
    file = written(tmp_path / "data.csv", "größe\tn\n1\t2\n")
    assert list(read(file, separator="\\t").values) == ["größe", "n"]


def test_index_column_is_said(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "data.csv")
    assert read(tmp_path / "data.csv").notes == ["data.csv begins with a column without a name, an index: it is left out"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda file: written(file, "n,m\n1,2\n3,4,5\n"),
            "data.csv has 3 values in line 3, but 2 in the lines before: ",
        ),
        (lambda file: written(file, ""), "data.csv cannot be read: No columns to parse from file"),
        (lambda file: written(file, "n,m\n"), "data.csv holds no rows"),
        (lambda file: written(file, "n\ninf\n"), "data.csv: the column 'n' holds infinities"),
    ],
)
def test_unreadable_file_is_refused_in_one_line(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ModelError) as refusal:
        read(write(tmp_path / "data.csv"))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("ascii", "data.csv is not written in ascii: leave out --encoding"),
        ("klingon", "'klingon' is no encoding that Python knows"),
    ],
)
def test_wrong_encoding_is_refused(tmp_path: Path, encoding: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(written(tmp_path / "data.csv", "größe,n\n1,2\n"), encoding=encoding)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["-1,0", "2,5"], "the column 'b' holds '-1,0' in the data, but the model takes numbers there: pass --decimal ,"),
        (["1", "x"], "the column 'b' holds 'x' in the data, but the model takes numbers there: correct row 2"),
        (
            ["31.12.2026", "1.1.2027"],
            "the column 'b' holds '31.12.2026' in the data, but the model takes numbers there: write ",
        ),
        (["1.234,5", "2"], "the column 'b' holds '1.234,5' in the data, but the model takes numbers there: pass --decimal ,"),
    ],
)
def test_first_value_that_is_no_number_is_named(tmp_path: Path, values: list[str], message: str) -> None:
    model = LogisticRegression().fit(pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0]}), [0, 1])
    pd.DataFrame({"a": [0.5, 0.7], "b": values}).to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(ModelError) as refusal:
        init(tmp_path, "m", model, "--data", tmp_path / "data.csv")
    assert message in str(refusal.value)


def test_decimal_commas_in_a_file_of_commas_are_named_for_any_model(tmp_path: Path) -> None:
    """A transformer of columns says which value it cannot convert, but not where it is."""
    frame = pd.DataFrame({"a": [0.5, 1.5] * 5, "town": ["x", "y"] * 5})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), LogisticRegression())
    frame.assign(a=frame.a.astype(str).str.replace(".", ",")).to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(
        ModelError, match=r"the column 'a' holds '0,5' in the data, but the model takes numbers there: pass --decimal ,"
    ):
        init(tmp_path, "m", model.fit(frame, [0, 1] * 5), "--data", tmp_path / "data.csv")
    done = init(tmp_path, "m", model, "--data", tmp_path / "data.csv", "--decimal", ",", "--sep", ",")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("kept", ["NA", "None", "null", "N/A"])
def test_text_for_missing_values_that_is_a_category_stays_one(tmp_path: Path, kept: str) -> None:
    """SauersML/gam#4221: NA is the code of Namibia."""
    file = written(tmp_path / "data.csv", f"ort,n\n{kept},\nCH,2\nnan,nan\n")
    samples = read(file, {"ort": Dtype("object", (kept, "CH"))})
    assert list(samples.values["ort"]) == [kept, "CH", None]
    assert list(samples.values["n"]) == [None, 2.0, None]


def test_long_file_of_mixed_values_has_one_type(tmp_path: Path) -> None:
    """pandas reads long files in parts, of which each gets a type of its own."""
    pd.DataFrame({"n": [*range(300_000), "x"]}).to_csv(tmp_path / "data.csv", index=False)
    assert read(tmp_path / "data.csv").values["n"].types == {str}


def test_parquet_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array([dt.date(2026, 1, 31)], pa.date32()),
            "ort": pa.array(["x"]).dictionary_encode(),
            "größe": pa.array([None], pa.int64()),
        }
    )
    parquet.write_table(table, tmp_path / "data.parquet")
    samples = read(tmp_path / "data.parquet")
    assert {name: list(values) for name, values in samples.values.items()} == {
        "n": ["2026-01-31T00:00:00Z"], "ort": ["x"], "größe": [None]}  # fmt: skip
    assert samples.dtypes["n"].name == "date"


def test_wide_integers_with_gaps_stay_exact(tmp_path: Path) -> None:
    big = 2**53 + 1
    table = pa.table({"n": pa.array([big, None], pa.int64())})
    parquet.write_table(table, tmp_path / "data.parquet")
    table.to_pandas(integer_object_nulls=True).to_csv(tmp_path / "data.csv", index=False)
    for name in ("data.parquet", "data.csv"):
        assert list(read(tmp_path / name, {"n": Dtype("int64")}).values["n"]) == [big, None]


@pytest.mark.slow
def test_notes_of_init(tmp_path: Path) -> None:
    """A European export with surplus columns: everything is said in a line, and the model is served."""
    frame = pd.DataFrame({"town": ["Zürich", "Genf"] * 15, "size": np.arange(30) / 4, "comment": "x", "id": range(30)})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), LogisticRegression())
    model.fit(frame[["town", "size"]], frame.id % 2)
    frame.assign(y=frame.id % 2).to_csv(tmp_path / "data.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    done = init(tmp_path, "m", model, "--data", tmp_path / "data.csv", "--target", "y")
    assert done.exit_code == 0, done.output
    assert "note: data.csv is read with --sep ';' --decimal ',' --encoding cp1252, as it looks" in done.output
    assert "note: the model takes no comment, id of data.csv: left out" in done.output
    assert (
        "TOWN_ZURICH" in (tmp_path / "protos/m/v1/m.proto").read_text()
        or "Zürich" in (tmp_path / "protos/m/v1/m.proto").read_text()
    )
