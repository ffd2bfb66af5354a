"""Where `foretell init` takes a model and its data from, what it makes of less, and what it refuses in one line."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from google.protobuf.descriptor import FieldDescriptor
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from typer.testing import CliRunner

from foretell.cli import app
from foretell.testing.golden_cases import golden_cases
from foretell_contract.contract import Contract, load
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from tests.foretell.init.test_init_command import init
from tests.support.processes import refused

FRAME = pd.DataFrame({"a": np.linspace(0, 1, 30), "b": np.linspace(5, 9, 30)})
KINDS = np.resize(["no", "yes"], 30)
MODEL = LogisticRegression().fit(FRAME, KINDS)


def fields(root: Path, message: str = "m.v1.Features") -> dict[str, Any]:
    contract: Contract = load(root / "protos")
    return {field.name: contract.rules.of(field) for field in contract.pool.FindMessageTypeByName(message).fields}


def features_of(root: Path) -> Any:
    """The fields of the features, as they are declared."""
    return load(root / "protos").pool.FindMessageTypeByName("m.v1.Features").fields


@pytest.fixture
def data(tmp_path: Path) -> Path:
    FRAME.assign(kind=KINDS).to_csv(tmp_path / "m.csv", index=False)
    return tmp_path / "m.csv"


def test_skops(tmp_path: Path, data: Path) -> None:
    skops.io.dump(MODEL, tmp_path / "m.skops")
    assert init(tmp_path, tmp_path / "m.skops", "--data", data).exit_code == 0
    assert list(fields(tmp_path)) == ["a", "b"]


@pytest.mark.filterwarnings("ignore")
def test_onnx(tmp_path: Path, data: Path) -> None:
    """It knows neither its columns, which the data names, nor how its classes are called."""
    from skl2onnx import to_onnx

    graph = to_onnx(MODEL, np.zeros((1, 2)), options={"zipmap": False})
    del graph.graph.output[0]
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(SetupError, match="does not name its 2 classes: pass --classes x,y,z"):
        init(tmp_path, tmp_path / "m.onnx", "--data", data, "--target", "kind")
    done = init(tmp_path, tmp_path / "m.onnx", "--data", data, "--target", "kind", "--classes", "no,yes")
    assert done.exit_code == 0, done.output
    assert list(fields(tmp_path, "m.v1.Response")) == ["no_probability", "yes_probability"]
    assert Repository(tmp_path / "models").read("m", "1").manifest.format == "onnx"


DOUBLES = tuple({"type": "double", "name": name, "required": True} for name in FRAME)


def mlflow(folder: Path, file: str, told: Sequence[dict[str, Any]] = DOUBLES, **sklearn: Any) -> Path:
    """The folder as MLflow leaves it; the model is put there by the test."""
    folder.mkdir()
    inputs = json.dumps(list(told))
    about = {"flavors": {"python_function": {}, "sklearn": {"pickled_model": file, **sklearn}}, "signature": {"inputs": inputs}}
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    return folder


@pytest.mark.parametrize(
    ("file", "save"),
    [("model.pkl", joblib.dump), ("model.skops", skops.io.dump)],
)
def test_a_folder_of_mlflow_names_the_columns(tmp_path: Path, data: Path, file: str, save: Callable[..., Any]) -> None:
    folder = mlflow(tmp_path / "m", file)
    save(LogisticRegression().fit(FRAME.to_numpy(), KINDS), folder / file)
    done = init(tmp_path, folder, "--data", data)
    assert done.exit_code == 0, done.output
    assert list(fields(tmp_path)) == ["a", "b"]


def test_a_signature_tells_types_and_gaps_where_there_is_no_data(tmp_path: Path) -> None:
    frame = FRAME.assign(town=np.resize(["Bern", "Zug"], 30), moved=np.resize([True, False], 30), rooms=np.resize([2, 3], 30))
    encode = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), ["town"])], remainder=SimpleImputer())
    kinds = {"a": "double", "b": "double", "town": "string", "moved": "boolean", "rooms": "long"}
    told = [{"type": kind, "name": name, "required": name != "b"} for name, kind in kinds.items()]
    folder = mlflow(tmp_path / "m", "model.pkl", told)
    joblib.dump(make_pipeline(encode, LogisticRegression()).fit(frame, KINDS), folder / "model.pkl")
    done = init(tmp_path, folder)
    assert done.exit_code == 0, done.output
    assert [(field.name, field.type, field.has_presence) for field in features_of(tmp_path)] == [
        ("a", FieldDescriptor.TYPE_DOUBLE, True),
        ("b", FieldDescriptor.TYPE_DOUBLE, True),
        ("town", FieldDescriptor.TYPE_ENUM, True),  # The encoder knows which.
        ("moved", FieldDescriptor.TYPE_BOOL, True),
        ("rooms", FieldDescriptor.TYPE_INT64, True),
    ]
    assert [name for name, rules in fields(tmp_path).items() if not rules.required] == ["b"]


def shouted(texts: Any) -> Any:
    """A function of our own, which skops trusts no more than any other."""
    return texts


def test_types_that_a_folder_of_mlflow_trusts_are_loaded_and_no_others(tmp_path: Path, data: Path) -> None:
    folder = mlflow(tmp_path / "m", "model.skops", skops_trusted_types=["something.else"])
    skops.io.dump(make_pipeline(FunctionTransformer(shouted), LogisticRegression()).fit(FRAME, KINDS), folder / "model.skops")
    untrusted = skops.io.get_untrusted_types(file=folder / "model.skops")
    assert untrusted == ["tests.foretell.init.test_sources.shouted"]
    with pytest.raises(SetupError) as refusal:
        init(tmp_path, folder, "--data", data)
    assert str(refusal.value) == "model.skops holds types that its MLmodel does not trust: tests.foretell.init.test_sources.shouted"
    about = yaml.safe_load((folder / "MLmodel").read_text())
    about["flavors"]["sklearn"]["skops_trusted_types"] = untrusted
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    done = init(tmp_path, folder, "--data", data)
    assert done.exit_code == 0, done.output
    assert Repository(tmp_path / "models").read("m", "1").manifest.format == "joblib"


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = FRAME.assign(since=pd.Timestamp("2026-01-01", tz="Europe/Zurich"), town=pd.Categorical(np.resize(["Bern", "Zug"], 30)))
    encode = ColumnTransformer([("times", OneHotEncoder(handle_unknown="ignore"), ["since"]), ("towns", OneHotEncoder(), ["town"])])
    joblib.dump(make_pipeline(encode, LogisticRegression()).fit(frame, KINDS), tmp_path / "m.joblib")
    frame.to_parquet(tmp_path / "m.parquet")
    done = init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.parquet")
    assert done.exit_code == 0, done.output
    assert list(fields(tmp_path)) == ["a", "b", "since", "town"]
    dtypes = Repository(tmp_path / "models").read("m", "1").manifest.dtypes
    assert dtypes["since"].zone == "Europe/Zurich"
    assert dtypes["town"].categories == ("Bern", "Zug")


def test_a_package_is_none_of_the_imports(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "buf.joblib")
    with pytest.raises(SetupError, match=r"the folder of buf.v1 is one of buf, google, foretell, which hold imports"):
        init(tmp_path, tmp_path / "buf.joblib")


def test_without_data_the_model_alone_tells(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.linspace(0, 1, 30), "city": np.resize(["Bern", "Zug"], 30)})
    columns = ColumnTransformer([("n", "passthrough", ["a"]), ("t", OneHotEncoder(), ["city"])])
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, KINDS), tmp_path / "m.joblib")
    done = init(tmp_path, tmp_path / "m.joblib")
    assert "note: without --data the contract has no bounds and no examples, and the model no golden rows" in done.output
    told = fields(tmp_path)
    assert told["a"].values == {"finite": True}
    assert told["city"].values == {"defined_only": True, "not_in": (0,)}
    checked = CliRunner().invoke(app, ["check", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")])
    assert checked.exit_code == 0
    assert "warning: m.v1.Features.a has no example" in checked.output


def test_names_are_made_up_where_nobody_tells_them(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit(FRAME.to_numpy(), FRAME.a), tmp_path / "m.joblib")
    done = init(tmp_path, tmp_path / "m.joblib")
    assert "note: the model does not know the names of its columns: pass --columns a,b,c or --data FILE" in done.output
    assert list(fields(tmp_path)) == ["column_0", "column_1"]


def test_golden_rows_of_a_model_that_knows_its_columns_are_read_without_its_warnings(tmp_path: Path, data: Path) -> None:
    joblib.dump(LinearRegression().fit(FRAME, FRAME.a), tmp_path / "m.joblib")
    init(tmp_path, tmp_path / "m.joblib", "--data", data)
    contract = load(tmp_path / "protos")
    assert len(list(golden_cases(contract, contract.services[0], Repository(tmp_path / "models")))) == 20


def test_a_gap_that_the_model_fails_on_is_required(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "m.joblib")
    FRAME.assign(a=FRAME.a.where(FRAME.a > 0.5)).to_csv(tmp_path / "m.csv", index=False)
    done = init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.csv")
    assert "note: 'a' is missing in some rows of the data, but the model fails on such a row: it is required" in done.output
    assert fields(tmp_path)["a"].required


def test_a_text_that_the_model_fails_on_is_listed(tmp_path: Path) -> None:
    towns = [f"town {number}" for number in range(25)]
    frame = pd.DataFrame({"town": np.resize(towns, 50)})
    joblib.dump(make_pipeline(OneHotEncoder(), LinearRegression()).fit(frame, range(50)), tmp_path / "m.joblib")
    frame.to_csv(tmp_path / "m.csv", index=False)
    assert init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.csv").exit_code == 0
    assert sorted(fields(tmp_path)["town"].values["in"]) == sorted(towns)


def test_labels_are_what_callers_see(tmp_path: Path, data: Path) -> None:
    joblib.dump(MODEL, tmp_path / "m.joblib")
    init(tmp_path, tmp_path / "m.joblib", "--data", data, "--labels", "stays,leaves")
    assert list(fields(tmp_path, "m.v1.Response")) == ["label", "stays_probability", "leaves_probability"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["none.joblib"], "cannot read none.joblib: No such file or directory", id="no-file"),
        pytest.param(["m.csv"], "m.csv is none of .skops, .joblib, .pkl, .onnx", id="format"),
        pytest.param(["array.joblib", "--data", "m.csv"],
            "m.csv has 3 columns, but the model takes 2 and does not name them: pass --target kind, if that is what it predicts",
            id="too-many-columns"),
        pytest.param(["m.joblib", "--data", "other.csv"], "other.csv has no column 'b'", id="column"),
        pytest.param(["m.joblib", "--data", "m.csv", "--target", "kin"], "m.csv has no column 'kin'; did you mean \"kind\"?",
            id="target"),
        pytest.param(["m.joblib", "--data", "texts.csv"],
            "in m.joblib does not answer rows of the data (ValueError: could not convert string to float: 'high')", id="text"),
        pytest.param(["array.joblib", "--data", "texts.csv", "--columns", "a,b"],
            "the column 'b' holds 'high' in the data, but the model takes numbers there", id="text-in-an-array"),
        pytest.param(["m.joblib", "--data", "infinite.csv"],
            "infinite.csv: the column 'b' holds infinities, which no contract takes: leave those rows out", id="infinite"),
        pytest.param(["m.joblib", "--data", "m.xlsx"], "m.xlsx is none of .csv, .parquet", id="data-format"),
        pytest.param(["m.joblib", "--data", "empty.csv"], "empty.csv cannot be read: No columns to parse from file", id="empty"),
        pytest.param(["m.joblib", "--data", "bare.csv"], "bare.csv holds no rows", id="no-rows"),
        pytest.param(["m.joblib", "--package", "Churn"], "'Churn' is no package: lower-case words and a version, such as churn.v1",
            id="package"),
        pytest.param(["m.joblib", "--labels", "x"],
            "1 labels are named, but the model tells 2 classes, no, yes apart", id="labels"),
        pytest.param(["."], "has no file MLmodel: pass a model's file, or a folder that MLflow saved", id="folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    joblib.dump(MODEL, "m.joblib")
    joblib.dump(LogisticRegression().fit(FRAME.to_numpy(), KINDS), "array.joblib")
    FRAME[["a"]].to_csv("other.csv", index=False)
    FRAME.assign(b="high").to_csv("texts.csv", index=False)
    FRAME.assign(b=np.inf).to_csv("infinite.csv", index=False)
    Path("empty.csv").touch()
    Path("bare.csv").write_text("a,b\n")
    with pytest.raises(SetupError) as refusal:
        init(tmp_path, *arguments)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not Path("protos").exists()
    assert not Path("models").exists()


def test_a_missing_extra_is_named(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib.dump(LogisticRegression().fit(FRAME.to_numpy(), KINDS), tmp_path / "m.joblib")
    FRAME.to_parquet(tmp_path / "m.parquet")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SetupError, match=r"^reading Parquet needs pyarrow: pip install 'foretell\[parquet\]'$"):
        init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.parquet")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SetupError, match=r"^reading training data needs pandas: pip install 'foretell\[frames\]'$"):
        init(tmp_path, tmp_path / "m.joblib", "--data", data)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(SetupError, match=r"^reading a folder of MLflow needs PyYAML: pip install 'foretell\[mlflow\]'$"):
        init(tmp_path, tmp_path)


def test_a_refusal_is_the_only_line_of_the_command(tmp_path: Path) -> None:
    code, stderr = refused("foretell", "init", str(tmp_path / "none.joblib"))
    assert (code, stderr) == (2, f"foretell: cannot read {tmp_path}/none.joblib: No such file or directory\n")
