"""Files that `foretell init` reads a model and its data from, drafts without data, and refusals."""

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

pytestmark = pytest.mark.slow

FRAME = pd.DataFrame({"a": np.linspace(0, 1, 30), "b": np.linspace(5, 9, 30)})
KINDS = np.resize(["no", "yes"], 30)
MODEL = LogisticRegression().fit(FRAME, KINDS)


def field_rules(root: Path, message: str = "m.v1.Features") -> dict[str, Any]:
    contract: Contract = load(root / "protos")
    return {field.name: contract.rules.of(field) for field in contract.pool.FindMessageTypeByName(message).fields}


def features_of(root: Path) -> Any:
    """The declared fields of `Features`."""
    return load(root / "protos").pool.FindMessageTypeByName("m.v1.Features").fields


@pytest.fixture
def data(tmp_path: Path) -> Path:
    FRAME.assign(kind=KINDS).to_csv(tmp_path / "m.csv", index=False)
    return tmp_path / "m.csv"


def test_skops_file_is_read(tmp_path: Path, data: Path) -> None:
    skops.io.dump(MODEL, tmp_path / "m.skops")
    assert init(tmp_path, tmp_path / "m.skops", "--data", data).exit_code == 0
    assert list(field_rules(tmp_path)) == ["a", "b"]


@pytest.mark.filterwarnings("ignore")
def test_onnx_needs_names_of_classes(tmp_path: Path, data: Path) -> None:
    """An ONNX file names neither columns nor classes; the data names the columns."""
    from skl2onnx import to_onnx

    graph = to_onnx(MODEL, np.zeros((1, 2)), options={"zipmap": False})
    del graph.graph.output[0]
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(SetupError, match="does not name its 2 classes: pass --classes x,y,z"):
        init(tmp_path, tmp_path / "m.onnx", "--data", data, "--target", "kind")
    done = init(tmp_path, tmp_path / "m.onnx", "--data", data, "--target", "kind", "--classes", "no,yes")
    assert done.exit_code == 0, done.output
    assert list(field_rules(tmp_path, "m.v1.Response")) == ["no_probability", "yes_probability"]
    assert Repository(tmp_path / "models").read("m", "1").manifest.format == "onnx"


DOUBLES = tuple({"type": "double", "name": name, "required": True} for name in FRAME)


def mlflow(folder: Path, file: str, columns: Sequence[dict[str, Any]] = DOUBLES, **sklearn: Any) -> Path:
    """A folder as MLflow saves it, without the model file."""
    folder.mkdir()
    inputs = json.dumps(list(columns))
    about = {"flavors": {"python_function": {}, "sklearn": {"pickled_model": file, **sklearn}}, "signature": {"inputs": inputs}}
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    return folder


@pytest.mark.parametrize(
    ("file", "save"),
    [("model.pkl", joblib.dump), ("model.skops", skops.io.dump)],
)
def test_mlflow_folder_names_the_columns(tmp_path: Path, data: Path, file: str, save: Callable[..., Any]) -> None:
    folder = mlflow(tmp_path / "m", file)
    save(LogisticRegression().fit(FRAME.to_numpy(), KINDS), folder / file)
    done = init(tmp_path, folder, "--data", data)
    assert done.exit_code == 0, done.output
    assert list(field_rules(tmp_path)) == ["a", "b"]


def test_mlflow_signature_has_types_without_data(tmp_path: Path) -> None:
    frame = FRAME.assign(town=np.resize(["Bern", "Zug"], 30), moved=np.resize([True, False], 30), rooms=np.resize([2, 3], 30))
    encode = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), ["town"])], remainder=SimpleImputer())
    kinds = {"a": "double", "b": "double", "town": "string", "moved": "boolean", "rooms": "long"}
    columns = [{"type": kind, "name": name, "required": name != "b"} for name, kind in kinds.items()]
    folder = mlflow(tmp_path / "m", "model.pkl", columns)
    joblib.dump(make_pipeline(encode, LogisticRegression()).fit(frame, KINDS), folder / "model.pkl")
    done = init(tmp_path, folder)
    assert done.exit_code == 0, done.output
    assert [(field.name, field.type, field.has_presence) for field in features_of(tmp_path)] == [
        ("a", FieldDescriptor.TYPE_DOUBLE, True),
        ("b", FieldDescriptor.TYPE_DOUBLE, True),
        ("town", FieldDescriptor.TYPE_STRING, True),  # The encoder ignores texts that it does not know.
        ("moved", FieldDescriptor.TYPE_BOOL, True),
        ("rooms", FieldDescriptor.TYPE_INT64, True),
    ]
    assert [name for name, rules in field_rules(tmp_path).items() if not rules.required] == ["b"]


def shouted(texts: Any) -> Any:
    """A function that skops does not trust."""
    return texts


def test_only_types_trusted_by_mlflow_are_loaded(tmp_path: Path, data: Path) -> None:
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


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    frame = FRAME.assign(since=pd.Timestamp("2026-01-01", tz="Europe/Zurich"), town=pd.Categorical(np.resize(["Bern", "Zug"], 30)))
    encode = ColumnTransformer([("times", OneHotEncoder(handle_unknown="ignore"), ["since"]), ("towns", OneHotEncoder(), ["town"])])
    joblib.dump(make_pipeline(encode, LogisticRegression()).fit(frame, KINDS), tmp_path / "m.joblib")
    frame.to_parquet(tmp_path / "m.parquet")
    done = init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.parquet")
    assert done.exit_code == 0, done.output
    assert list(field_rules(tmp_path)) == ["a", "b", "since", "town"]
    dtypes = Repository(tmp_path / "models").read("m", "1").manifest.dtypes
    assert dtypes["since"].zone == "Europe/Zurich"
    assert dtypes["town"].categories == ("Bern", "Zug")


def test_package_of_imports_is_refused(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "buf.joblib")
    with pytest.raises(SetupError, match=r"the package buf.v1 is in one of the folders buf, google, foretell,"):
        init(tmp_path, tmp_path / "buf.joblib")


def test_draft_without_data_has_no_bounds(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.linspace(0, 1, 30), "city": np.resize(["Bern", "Zug"], 30)})
    columns = ColumnTransformer([("n", "passthrough", ["a"]), ("t", OneHotEncoder(), ["city"])])
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, KINDS), tmp_path / "m.joblib")
    done = init(tmp_path, tmp_path / "m.joblib")
    assert "note: without --data the contract has no bounds and no examples, and the model no golden rows" in done.output
    rules = field_rules(tmp_path)
    assert rules["a"].values == {"finite": True}
    assert rules["city"].values == {"defined_only": True, "not_in": (0,)}
    checked = CliRunner().invoke(app, ["check", "--protos", str(tmp_path / "protos"), "--models", str(tmp_path / "models")])
    assert checked.exit_code == 0
    assert "warning: m.v1.Features.a has no example" in checked.output


def test_unknown_columns_are_numbered(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit(FRAME.to_numpy(), FRAME.a), tmp_path / "m.joblib")
    done = init(tmp_path, tmp_path / "m.joblib")
    assert "note: the model does not know the names of its columns: pass --columns a,b,c or --data FILE" in done.output
    assert list(field_rules(tmp_path)) == ["column_0", "column_1"]


def test_golden_rows_are_read_without_warnings(tmp_path: Path, data: Path) -> None:
    joblib.dump(LinearRegression().fit(FRAME, FRAME.a), tmp_path / "m.joblib")
    init(tmp_path, tmp_path / "m.joblib", "--data", data)
    contract = load(tmp_path / "protos")
    assert len(list(golden_cases(contract, contract.services[0], Repository(tmp_path / "models")))) == 20


def test_column_whose_gaps_fail_is_required(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "m.joblib")
    FRAME.assign(a=FRAME.a.where(FRAME.a > 0.5)).to_csv(tmp_path / "m.csv", index=False)
    done = init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.csv")
    assert "note: 'a' is required: it is missing in some rows of the data, but the model fails on such rows" in done.output
    assert field_rules(tmp_path)["a"].required


def test_texts_are_listed_if_others_fail(tmp_path: Path) -> None:
    towns = [f"town {number}" for number in range(25)]
    frame = pd.DataFrame({"town": np.resize(towns, 50)})
    joblib.dump(make_pipeline(OneHotEncoder(), LinearRegression()).fit(frame, range(50)), tmp_path / "m.joblib")
    frame.to_csv(tmp_path / "m.csv", index=False)
    assert init(tmp_path, tmp_path / "m.joblib", "--data", tmp_path / "m.csv").exit_code == 0
    assert sorted(field_rules(tmp_path)["town"].values["in"]) == sorted(towns)


def test_labels_rename_the_classes(tmp_path: Path, data: Path) -> None:
    joblib.dump(MODEL, tmp_path / "m.joblib")
    init(tmp_path, tmp_path / "m.joblib", "--data", data, "--labels", "stays,leaves")
    assert list(field_rules(tmp_path, "m.v1.Response")) == ["kind", "stays_probability", "leaves_probability"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["none.joblib"], "cannot read none.joblib: No such file or directory", id="no-file"),
        pytest.param(["m.csv"], "m.csv is none of .skops, .joblib, .pkl, .onnx", id="format"),
        pytest.param(["array.joblib", "--data", "m.csv"],
            "m.csv has 3 columns, but the model takes 2 and does not name them: pass --target kind, which holds its classes",
            id="too-many-columns"),
        pytest.param(["m.joblib", "--data", "other.csv"], "other.csv has no column 'b'", id="column"),
        pytest.param(["m.joblib", "--data", "m.csv", "--target", "kin"], "m.csv has no column 'kin'; did you mean \"kind\"?",
            id="target"),
        pytest.param(["m.joblib", "--data", "texts.csv"],
            "the column 'b' holds 'high' in the data, but the model takes numbers there: correct row 1, ", id="text"),
        pytest.param(["array.joblib", "--data", "texts.csv", "--columns", "a,b"],
            "the column 'b' holds 'high' in the data, but the model takes numbers there", id="text-in-an-array"),
        pytest.param(["m.joblib", "--data", "infinite.csv"],
            "infinite.csv: the column 'b' holds infinities, which no contract takes: leave those rows out", id="infinite"),
        pytest.param(["m.joblib", "--data", "m.xlsx"], "m.xlsx is none of .csv, .tsv, .txt, .parquet", id="data-format"),
        pytest.param(["m.joblib", "--data", "empty.csv"], "empty.csv cannot be read: No columns to parse from file", id="empty"),
        pytest.param(["m.joblib", "--data", "bare.csv"], "bare.csv holds no rows", id="no-rows"),
        pytest.param(["m.joblib", "--package", "Churn"],
            "'Churn' is not a package: use lower-case words and a version, such as churn.v1", id="package"),
        pytest.param(["m.joblib", "--labels", "x"],
            "--labels names 1 classes, but the model has 2: no, yes", id="labels"),
        pytest.param(["."], "has no file MLmodel: pass a model's file, or a folder that MLflow saved", id="folder"),
    ],
)  # fmt: skip
def test_refusal_is_one_line_and_writes_nothing(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
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
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not Path("protos").exists()
    assert not Path("models").exists()


def test_missing_extra_is_named(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_refusal_exits_with_2(tmp_path: Path) -> None:
    code, stderr = refused("foretell", "init", str(tmp_path / "none.joblib"))
    assert (code, stderr) == (2, f"foretell: cannot read {tmp_path}/none.joblib: No such file or directory\n")
