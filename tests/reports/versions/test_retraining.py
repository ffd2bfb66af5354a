"""A model that is trained again: its contract breaks nobody unasked, and holds what the model now has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.contract import load
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles
from tests.support.models.candidates import AUTHOR
from tests.support.servers.drafted_models import answers_by_both_doors, init, serving_drafts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),  # As in the server.
]

RNG = np.random.default_rng(7)
FRAME = pd.DataFrame(RNG.normal(size=(120, 2)).round(2), columns=["a", "b"])
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Undecimber"]


def labelled(classes: list[Any]) -> Any:
    return np.resize(np.array(classes), len(FRAME))


def two_targets(*classes: str) -> Any:
    return np.column_stack([labelled(list(classes)), labelled(["no", "yes"])])


@dataclass(frozen=True)
class Retraining:
    """An estimator before and after, and its targets."""

    estimators: tuple[Any, Any]
    targets: tuple[Any, Any]
    fields: tuple[str, ...] = ()
    """Lines that the updated contract has."""

    def init(self, root: Path, which: int, *arguments: str) -> Result:
        target = self.targets[which]
        estimator = self.estimators[which].fit(FRAME) if target is None else self.estimators[which].fit(FRAME, target)
        columns = {} if target is None else dict(zip("yz", np.atleast_2d(np.asarray(target).T), strict=False))
        FRAME.assign(**columns).to_parquet(root / "data.parquet")
        wanted = ["--target", ",".join(columns)] if columns else []
        return init(root, "shop", estimator, "--data", root / "data.parquet", *wanted, *arguments)


def contract(root: Path, package: str = "shop.v1") -> Path:
    return root.joinpath("protos", *package.split("."), "shop.proto")


def check(root: Path) -> Result:
    return CliRunner().invoke(app, ["check", "--protos", str(root / "protos"), "--models", str(root / "models")])


GROWTH = {
    "thirteenth class, decisions": Retraining(
        (RidgeClassifier(), RidgeClassifier()),
        (labelled(MONTHS[:12]), labelled(MONTHS)),
        ("Y_UNDECIMBER = 13", "repeated.max_items = 13", "Nov, Oct, Sep, Undecimber."),
    ),
    "sixth cluster": Retraining(
        (KMeans(5, n_init=1, random_state=0), KMeans(6, n_init=1, random_state=0)), (None, None), ("repeated.min_items = 6",)
    ),
    "fourth class, probabilities": Retraining(
        (LogisticRegression(), LogisticRegression()),
        (labelled(["a", "b", "c"]), labelled(["a", "b", "c", "A"])),
        ("Y_A_2 = 4", 'probability_of = "A"'),
    ),
    "twenty-first class": Retraining(
        (DecisionTreeClassifier(), DecisionTreeClassifier()),
        (labelled([f"k{each}" for each in range(20)]), labelled([f"k{each}" for each in range(21)])),
        ("double k20_probability = 22", "Y_K20 = 21"),
    ),
    "pairs of classes": Retraining(
        (SVC(decision_function_shape="ovo"), SVC(decision_function_shape="ovo")),
        (labelled(["a", "b", "c", "d"]), labelled(["a", "b", "c", "d", "e"])),
        ("repeated.max_items = 10", "c or e, d or e."),
    ),
    "class of one of two targets": Retraining(
        (MultiOutputClassifier(DecisionTreeClassifier()), MultiOutputClassifier(DecisionTreeClassifier())),
        (two_targets("u", "v", "w"), two_targets("u", "v", "w", "x")),
        ("Y_X = 4", 'probability_of = "x"'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_appended_only_on_request(tmp_path: Path, name: str) -> None:
    case = GROWTH[name]
    assert case.init(tmp_path, 0).exit_code == 0
    before = contract(tmp_path).read_bytes()
    refused = case.init(tmp_path, 1)
    assert refused.exit_code == 1
    assert refused.stdout.startswith("changes for callers:\n")
    assert refused.stderr.count("\n") == 1
    assert "--write-breaking" in refused.stderr
    assert "--package shop.v2" in refused.stderr
    assert contract(tmp_path).read_bytes() == before
    assert Repository(tmp_path / "models").versions("shop") == ["1"]
    done = case.init(tmp_path, 1, "--write-breaking")
    assert done.exit_code == 0, done.output
    assert "may not serve the changed contract: `foretell promote shop 2` before a server starts" in done.output
    text = " ".join(contract(tmp_path).read_text().replace("//", "").split())
    assert [part for part in case.fields if part not in text] == []
    assert check(tmp_path).output == "Nothing is wrong.\n"
    files = RouteTableFiles(Repository(tmp_path / "models"))
    files.change("shop", lambda routes: routes.promote("2", PRODUCTION, AUTHOR))
    rows = FRAME.head(5).to_dict("records")
    with serving_drafts(tmp_path) as server:
        answers = answers_by_both_doors(server, "shop", rows)
    assert all("detail" not in answer for answer in answers)


@pytest.mark.parametrize("name", ["thirteenth class, decisions", "sixth cluster", "class of one of two targets"])
def test_new_package_is_answered_beside_the_old_one(tmp_path: Path, name: str) -> None:
    case = GROWTH[name]
    case.init(tmp_path, 0)
    before = contract(tmp_path).read_bytes()
    for _ in range(2):  # The second time updates it.
        done = case.init(tmp_path, 1, "--package", "shop.v2")
        assert done.exit_code == 0, done.output
    assert contract(tmp_path).read_bytes() == before
    assert Repository(tmp_path / "models").versions("shop.v2") == ["1", "2"]
    assert check(tmp_path).output == "Nothing is wrong.\n"
    assert {service.model for service in load(tmp_path / "protos").services} == {"shop", "shop.v2"}


TEXT_LABELS = (labelled(["no", "yes"]), labelled(["no", "yes", "maybe"]))

REFUSED = {
    "bool with three classes": (
        Retraining((DecisionTreeClassifier(), DecisionTreeClassifier()), TEXT_LABELS),
        "shop.v1.Response.y is a bool, but the model now has 3 classes: pass --package shop.v2 for a contract beside it",
    ),
    "one decision becomes three": (
        Retraining((RidgeClassifier(), RidgeClassifier()), (labelled(["a", "b"]), labelled(["a", "b", "c"]))),
        "shop.v1.Response.decision would mean something else, because the model now has 3 classes, and is called decisions then: "
        "pass --package shop.v2 for a contract beside it",
    ),
    "three decisions become one": (
        Retraining((RidgeClassifier(), RidgeClassifier()), (labelled(["a", "b", "c"]), labelled(["a", "b"]))),
        "shop.v1.Response.decisions would mean something else, because the model now has 2 classes, and is called decision then: "
        "pass --package shop.v2 for a contract beside it",
    ),
    "classifier becomes a regressor": (
        Retraining((DecisionTreeClassifier(), DecisionTreeRegressor()), (labelled(["a", "b"]), labelled([1.5, 2.5]))),
        "or pass --package shop.v2 for a contract beside it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_new_package_is_offered_by_name(tmp_path: Path, name: str) -> None:
    case, message = REFUSED[name]
    assert case.init(tmp_path, 0).exit_code == 0
    before = contract(tmp_path).read_bytes()
    with pytest.raises(SetupError) as refusal:
        case.init(tmp_path, 1, "--write-breaking")
    assert str(refusal.value).endswith(message)
    assert "\n" not in str(refusal.value)
    assert contract(tmp_path).read_bytes() == before
    assert case.init(tmp_path, 1, "--package", "shop.v2").exit_code == 0


SPREAD = {
    "numbers": lambda rng: rng.normal(size=200),
    "counts": lambda rng: rng.poisson(4, 200),
    "gaps": lambda rng: np.where(rng.random(200) < 0.1, np.nan, rng.poisson(4, 200)),
    "texts": lambda rng: [f"word {'x' * each}" for each in rng.integers(1, 60, 200)],
    "times": lambda rng: pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**6, 200), unit="s"),
    "lengths": lambda rng: pd.to_timedelta(rng.integers(0, 10**6, 200), unit="s"),
}


def test_resampling_breaks_nobody(tmp_path: Path) -> None:
    """Bounds only widen, and comments that follow the data are no warnings; columns of all kinds are in one table."""
    texts = ["texts", "times", "lengths"]
    columns = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore", max_categories=3), texts)], remainder="passthrough", sparse_threshold=0
    )
    before = ""
    for seed in (1, 2, 3):
        frame = pd.DataFrame({name: values(np.random.default_rng(seed)) for name, values in SPREAD.items()})
        frame.assign(y=np.resize([0.5, 1.5], 200)).to_parquet(tmp_path / "data.parquet")
        estimator = make_pipeline(columns, DecisionTreeRegressor(max_depth=3)).fit(frame, np.resize([0.5, 1.5], 200))
        done = init(tmp_path, "shop", estimator, "--data", tmp_path / "data.parquet", "--target", "y")
        assert done.exit_code == 0, done.output
        if before:
            assert "warning" not in done.output
            assert "breaking" not in done.output
            assert contract(tmp_path).read_text() != before
        before = contract(tmp_path).read_text()
    assert check(tmp_path).output == "Nothing is wrong.\n"


def test_tighten_lets_bounds_shrink(tmp_path: Path) -> None:
    texts = []
    for scale, arguments in ((1.0, ()), (0.5, ()), (0.5, ("--tighten",)), (0.5, ("--tighten", "--write-breaking"))):
        frame = pd.DataFrame({"length": np.linspace(scale, 3 * scale, 30)})
        frame.assign(y=frame.length).to_csv(tmp_path / "data.csv", index=False)
        model = DecisionTreeRegressor().fit(frame, frame.length)
        done = init(tmp_path, "shop", model, "--data", tmp_path / "data.csv", "--target", "y", *arguments)
        texts.append((done.exit_code, contract(tmp_path).read_text()))
    codes = [code for code, _ in texts]
    seen = [text.partition("Seen in training: ")[2].partition(".\n")[0] for _, text in texts]
    assert codes == [0, 0, 1, 0]
    assert seen == ["1 to 3", "0.5 to 3", "0.5 to 3", "0.5 to 1.5"]


NAMED = ("--labels", "no,yes")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param((), NAMED, "calls the class '0' 'no', but shop.v1.Response calls it class_0", id="later"),
        pytest.param(NAMED, ("--labels", "off,on"), "the class '0' 'off', but shop.v1.Response calls it no", id="others"),
        pytest.param(NAMED, ("--labels", "yes,no"), "the class '0' 'yes', but shop.v1.Response calls it no", id="swapped"),
    ],
)
def test_other_labels_than_before_are_refused(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], message: str
) -> None:
    case = Retraining((DecisionTreeClassifier(), DecisionTreeClassifier()), (labelled([0, 1]), labelled([0, 1])))
    assert case.init(tmp_path, 0, *first).exit_code == 0
    before = contract(tmp_path).read_bytes()
    with pytest.raises(SetupError) as refusal:
        case.init(tmp_path, 1, *second)
    assert message in str(refusal.value)
    assert "--package shop.v2" in str(refusal.value)
    assert contract(tmp_path).read_bytes() == before
    assert case.init(tmp_path, 1, *first).exit_code == 0


def test_label_of_a_new_class_is_used(tmp_path: Path) -> None:
    case = Retraining((DecisionTreeClassifier(), DecisionTreeClassifier()), (labelled([0, 1, 2]), labelled([0, 1, 2, 3])))
    case.init(tmp_path, 0, "--labels", "low,middle,high")
    assert case.init(tmp_path, 1, "--labels", "low,middle,high,extreme", "--write-breaking").exit_code == 0
    text = contract(tmp_path).read_text()
    assert 'Y_EXTREME = 4 [(foretell.v1.label) = "3"];' in text
    assert "double extreme_probability = 5 [" in text


def listed(root: Path, towns: int, grades: list[int], *arguments: str) -> tuple[Result, str]:
    """Columns whose encoder fails on other categories: the contract lists them."""
    frame = pd.DataFrame({"town": [f"t{each % towns}" for each in range(120)], "grade": np.resize(grades, 120)})
    frame.assign(y=np.arange(120.0)).to_parquet(root / "data.parquet")
    encoder = ColumnTransformer([("all", OneHotEncoder(), ["town", "grade"])])
    model = make_pipeline(encoder, DecisionTreeRegressor(max_depth=3)).fit(frame, np.arange(120.0))
    done = init(root, "shop", model, "--data", root / "data.parquet", "--target", "y", *arguments)
    return done, contract(root).read_text()


def test_lists_of_categories_follow_the_model(tmp_path: Path) -> None:
    assert listed(tmp_path, 25, [10, 20, 30])[0].exit_code == 0
    wider, text = listed(tmp_path, 26, [10, 20, 30, 40])
    assert wider.exit_code == 0
    assert "warning" not in wider.output
    assert 'string.in = "t25"' in text
    assert "// Town, one of 26 texts." in text
    assert "// Grade, one of 10, 20, 30, 40." in text
    assert listed(tmp_path, 25, [10, 30, 40])[0].exit_code == 1
    done, text = listed(tmp_path, 25, [10, 30, 40], "--write-breaking")
    assert done.exit_code == 0
    assert "int64.in = 20" not in text
    assert 'string.in = "t25"' not in text
    assert "int64.example = 20" not in text
    assert check(tmp_path).output == "Nothing is wrong.\n"


def test_add_needs_the_names_of_targets_that_the_version_before_has(tmp_path: Path) -> None:
    case = GROWTH["class of one of two targets"]
    case.init(tmp_path, 0)
    arguments = ["add", str(tmp_path / "shop.joblib"), "--name", "shop", "--models", str(tmp_path / "models")]
    for contracts in ([], ["--protos", str(tmp_path / "protos")]):
        with pytest.raises(SetupError) as refused:
            CliRunner().invoke(app, [*arguments, *contracts], catch_exceptions=False)
        assert str(refused.value) == (
            "shop.joblib does not name its targets, which version 1 of shop calls y, z: pass --targets y,z"
        )
    named = [*arguments, "--protos", str(tmp_path / "protos"), "--targets", "y,z", "--data", str(tmp_path / "data.parquet")]
    assert CliRunner().invoke(app, named, catch_exceptions=False).exit_code == 0
