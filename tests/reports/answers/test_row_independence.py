"""A row's answer must not depend on the rows beside it or on earlier calls: `init`, `add`, the gates and `check` try it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from foretell.check.check_command import check
from grpc_server.checks.add_model import add_model
from grpc_server.checks.row_independence import check_independence
from grpc_server.errors import ModelMismatch
from grpc_server.rows.outputs import Output, Source
from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime
from grpc_server.store.manifest import GOLDEN, GoldenRow, Manifest
from grpc_server.store.repository import Repository, sha256
from tests.support.fakes import MANIFEST
from tests.support.models.faulty import Shared
from tests.support.servers.drafted_models import init, refusal

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

X = np.random.default_rng(0).normal(size=(120, 2))
FRAME = pd.DataFrame(X, columns=["a", "b"])
Y = X[:, 0] - 2 * X[:, 1]


def minus_mean(rows: Any) -> Any:
    return rows - rows.mean(0)


NOT_ALONE = "let fit learn all that predict needs beside the row itself"
NO_STATE = "let predict keep nothing between calls, and draw no random numbers"

SHARED = {
    "mean": (make_pipeline(Shared("mean"), LinearRegression()), "alone, because of its step 'shared' (Shared)", NOT_ALONE),
    # aws/amazon-sagemaker-examples#1012: normalised with the least and the largest value of the batch.
    "range": (make_pipeline(Shared("range"), LinearRegression()), "alone, because of its step 'shared' (Shared)", NOT_ALONE),
    "rank": (make_pipeline(StandardScaler(), Shared("rank"), LinearRegression()), "because of its step 'shared'", NOT_ALONE),
    "lag": (make_pipeline(Shared("lag"), LinearRegression()), "in another order, because of its step 'shared'", NOT_ALONE),
    "calls": (make_pipeline(Shared("calls"), LinearRegression()), "sent again, because of its step 'shared'", NO_STATE),
    "random": (make_pipeline(Shared("random"), LinearRegression()), "sent again, because of its step 'shared'", NO_STATE),
    "function": (
        make_pipeline(FunctionTransformer(minus_mean), LinearRegression()),
        "alone, because of its step 'functiontransformer' (FunctionTransformer)",
        NOT_ALONE,
    ),
    "part": (
        make_pipeline(make_column_transformer((StandardScaler(), [0]), (Shared("mean"), [1])), LinearRegression()),
        "alone, because of its step 'shared' (Shared)",
        NOT_ALONE,
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_init_names_the_step(tmp_path: Path, name: str) -> None:
    model, manner, fix = SHARED[name]
    FRAME.to_csv(tmp_path / "data.csv", index=False)
    message = refusal(tmp_path, "m", model.fit(X, Y), "--data", tmp_path / "data.csv")
    assert message.startswith("m.joblib gives value ")
    assert "for a row among 20, and" in message
    assert manner in message
    assert message.endswith(fix)


@pytest.mark.parametrize("name", SHARED)
def test_add_tries_made_up_rows_without_golden_ones(tmp_path: Path, name: str) -> None:
    model, manner, _ = SHARED[name]
    joblib.dump(model.fit(X, Y), tmp_path / "m.joblib")
    with pytest.raises(ModelMismatch) as refused:
        add_model(Repository(tmp_path / "models"), tmp_path / "m.joblib", "m", ("a", "b"))
    assert manner in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["mean", "calls", "lag"])
def test_check_finds_a_version_that_was_added_before(tmp_path: Path, by: str) -> None:
    """`check` passes the gates of a start."""
    FRAME.to_csv(tmp_path / "data.csv", index=False)
    sound, shared = (make_pipeline(Shared(each), LinearRegression()).fit(X, Y) for each in ("", by))
    assert init(tmp_path, "m", sound, "--data", tmp_path / "data.csv").exit_code == 0
    joblib.dump(shared, tmp_path / "shared.joblib")
    artifact, repository = (tmp_path / "shared.joblib").read_bytes(), Repository(tmp_path / "models")
    manifest = Manifest(
        format="joblib",
        artifact="model.joblib",
        files={"model.joblib": sha256(artifact), GOLDEN: sha256(b"")},
        libraries={},
        columns=("a", "b"),
        created=datetime.now(UTC),
    )
    repository.add("m", manifest, {"model.joblib": artifact, GOLDEN: b""})
    (problem,) = [each for each in check(tmp_path / "protos", tmp_path / "models", "m") if each.is_error]
    assert "model 'm' version 2 gives value" in problem.problem.reason
    assert "because of its step 'shared'" in problem.problem.reason


@pytest.mark.parametrize("name", SHARED)
def test_start_finds_it_with_two_runs_of_two_rows(name: str) -> None:
    """A slow model costs a start, and `check`, no more; `init` and `add` try every manner."""
    model = SHARED[name][0].fit(X, Y)
    sizes: list[int] = []

    def run(rows: Any) -> Any:
        sizes.append(len(rows))
        return model.predict(rows)[:, None]

    rows = [GoldenRow(features={"a": a, "b": b}) for a, b in X[:20].tolist()]
    manifest = MANIFEST.model_copy(update={"columns": ("a", "b"), "classes": ()})
    sources = [Source((Output("value"),), run)]
    with pytest.raises(ModelMismatch, match=r"for a row among 2, and .* for the same row alone"):
        check_independence(EstimatorRuntime(model), sources, manifest, rows, "m", brief=True)
    assert sizes == [2, 1]


@pytest.mark.parametrize("count", [1, 3, 20])
def test_add_sends_sound_rows_in_two_orders_and_four_alone(count: int) -> None:
    sizes: list[int] = []

    def run(rows: Any) -> Any:
        sizes.append(len(rows))
        return rows[:, :1]

    rows = [GoldenRow(features={"a": a, "b": b}) for a, b in X[:count].tolist()]
    manifest = MANIFEST.model_copy(update={"columns": ("a", "b"), "classes": ()})
    runtime = EstimatorRuntime(LinearRegression().fit(X, Y))
    check_independence(runtime, [Source((Output("value"),), run)], manifest, rows, "m")
    assert sizes == [count, count] + [1] * min(count, 4)


LABELS = np.digitize(Y, [-0.5, 0.5])


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        KMeans(3, random_state=0, n_init=1).fit(X * 1000),
        KNeighborsRegressor(3, weights="distance").fit(X, Y),
        LogisticRegression().fit(X, LABELS),
        VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]).fit(X, LABELS),
        make_pipeline(Shared(""), LinearRegression()).fit(X.astype(np.float32), Y.astype(np.float32)),
    ],
    ids=["kmeans", "neighbours", "logistic", "hard voting", "float32"],
)
def test_rounding_is_no_difference(tmp_path: Path, model: Any) -> None:
    (FRAME * (1000 if isinstance(model, KMeans) else 1)).to_csv(tmp_path / "data.csv", index=False)
    done = init(tmp_path, "m", model, "--data", tmp_path / "data.csv")
    assert done.exit_code == 0, done.exception
