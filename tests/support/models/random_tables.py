"""Random training tables, with columns of every type of pandas and Arrow, and estimators that are fitted on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

ROWS = 60

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
"""Names, categories and classes of any script."""

_LIKELY = [
    "",
    " ",
    "NA",
    "null",
    "None",
    "1",
    "01",
    "1.0",
    "-1",
    "true",
    "a",
    "A",
    "a b",
    "a_b",
    "größer",
    "площадь, м²",
    "é",
    "e\u0301",
]
WORDS = st.lists(TEXT | st.sampled_from(_LIKELY), min_size=2, max_size=6, unique=True)


def seconds_since_1970(frame: Any) -> Any:
    """The times of a frame as numbers; stands for a user's own transformer."""
    return np.column_stack([pd.to_datetime(frame[name], utc=True).astype("int64") / 1e15 for name in frame.columns])


def as_float(frame: Any) -> Any:
    """Booleans, lengths of time and decimals as numbers; likewise."""
    lengths = (frame[name] if frame[name].dtype.kind != "m" else frame[name].dt.total_seconds() for name in frame.columns)
    return np.column_stack([length.astype("float64") for length in lengths])


Random = np.random.Generator
Make = Callable[[Random, list[str]], Any]


def _ints(low: int, high: int, dtype: str) -> Make:
    return lambda random, _: pd.Series(random.integers(low, high, ROWS, dtype=np.int64)).astype(dtype)


def _holes(make: Make) -> Make:
    def holed(random: Random, words: list[str]) -> Any:
        return make(random, words).mask(random.random(ROWS) < 0.1)

    return holed


def _arrow(kind: Any, values: Callable[[Random, list[str]], Sequence[Any]]) -> Make:
    return lambda random, words: pd.Series(pd.array(pa.array(values(random, words), kind), dtype=pd.ArrowDtype(kind)))


def _days(random: Random) -> Any:
    return pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 400 * 86400, ROWS), unit="s")


_NUMBERS: dict[str, Make] = {
    "float64": lambda random, _: pd.Series(random.normal(size=ROWS).round(3)),
    "float32": lambda random, _: pd.Series(random.normal(size=ROWS).astype("float32")),
    "int64": _ints(-50, 50, "int64"),
    "int8": _ints(-5, 5, "int8"),
    "uint64": _ints(0, 9, "uint64"),
    "flag": _ints(0, 2, "int64"),
    "Int64": _holes(_ints(0, 9, "Int64")),
    "Float64": _holes(lambda random, _: pd.Series(random.normal(size=ROWS)).astype("Float64")),
    "float with holes": _holes(lambda random, _: pd.Series(random.normal(size=ROWS))),
    "arrow int32": _arrow(pa.int32(), lambda random, _: random.integers(0, 9, ROWS).tolist()),
    "arrow double": _arrow(pa.float64(), lambda random, _: random.normal(size=ROWS).tolist()),
}
_FLOATS: dict[str, Make] = {
    "bool": lambda random, _: pd.Series(random.random(ROWS) < 0.5),
    "arrow bool": _arrow(pa.bool_(), lambda random, _: (random.random(ROWS) < 0.5).tolist()),
    "timedelta": lambda random, _: pd.Series(pd.to_timedelta(random.integers(0, 9999, ROWS), unit="s")),
    "arrow decimal": _arrow(pa.decimal128(9, 2), lambda random, _: [Decimal(int(n)) / 100 for n in random.integers(0, 999, ROWS)]),
}
_TIMES: dict[str, Make] = {
    "datetime": lambda random, _: pd.Series(_days(random)),
    "datetime in a zone": lambda random, _: pd.Series(_days(random)).dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"),
    "arrow timestamp": _arrow(pa.timestamp("us"), lambda random, _: [each.to_pydatetime() for each in _days(random)]),
    "arrow date32": _arrow(pa.date32(), lambda random, _: [date(2026, 1, int(n)) for n in random.integers(1, 28, ROWS)]),
}
_TEXTS: dict[str, Make] = {
    "text": lambda random, words: pd.Series(random.choice(words, ROWS)),
    "object": lambda random, words: pd.Series(random.choice(words, ROWS), dtype=object),
    "category": lambda random, words: pd.Series(pd.Categorical(random.choice(words, ROWS))),
    "category of integers": lambda random, _: pd.Series(pd.Categorical(random.choice([3, 10, 7], ROWS))),
    "arrow string": _arrow(pa.string(), lambda random, words: random.choice(words, ROWS).tolist()),
    "arrow dictionary": lambda random, words: pd.Series(pd.Categorical(random.choice(words, ROWS))),
    "identifier": lambda random, _: pd.Series(random.choice(2**53 + np.arange(1, 12, dtype=np.int64), ROWS)),
    "postcode": lambda random, _: pd.Series(random.choice(["00501", "01001", "10001", "1"], ROWS)),
}
_KINDS = {**_NUMBERS, **_FLOATS, **_TIMES, **_TEXTS}

_CLASSES: dict[str, Make] = {
    "texts": lambda random, words: pd.Series(random.choice(words, ROWS)),
    "codes": lambda random, _: pd.Series(random.choice(["01", "1", "001"], ROWS)),
    "integers": lambda random, _: pd.Series(random.choice([-1, 4, 17], ROWS)),
    "bools": lambda random, _: pd.Series(random.random(ROWS) < 0.5),
    "zero and one": lambda random, _: pd.Series(random.integers(0, 2, ROWS)),
    "yes and no": lambda random, _: pd.Series(random.choice(["yes", "no"], ROWS)),
    "signs": lambda random, _: pd.Series(random.choice([-1, 1], ROWS)),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of estimator."""

    make: Callable[[], Any]
    task: str = "classify"
    bare: bool = False
    """Whether it takes a data frame of numbers and categories itself, with no steps before it."""
    counted_classes: bool = False
    """Whether it takes only classes 0, 1, 2 ..."""


ESTIMATORS = {
    "logistic": Kind(lambda: LogisticRegression()),
    "ridge classifier": Kind(lambda: RidgeClassifier()),
    "forest": Kind(lambda: RandomForestClassifier(5, random_state=0)),
    "extra trees": Kind(lambda: ExtraTreesClassifier(5, random_state=0)),
    "tree": Kind(lambda: DecisionTreeClassifier(max_depth=4, random_state=0)),
    "neighbours": Kind(lambda: KNeighborsClassifier(3)),
    "naive bayes": Kind(lambda: GaussianNB()),
    "svc": Kind(lambda: SVC()),
    "histogram classifier": Kind(lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"), bare=True),
    "lightgbm classifier": Kind(lambda: LGBMClassifier(n_estimators=5, min_child_samples=5, verbose=-1), bare=True),
    "xgboost classifier": Kind(
        lambda: XGBClassifier(n_estimators=5, max_depth=3, enable_categorical=True), bare=True, counted_classes=True
    ),
    "linear": Kind(lambda: LinearRegression(), "number"),
    "forest regressor": Kind(lambda: RandomForestRegressor(5, random_state=0), "number"),
    "boosting regressor": Kind(lambda: GradientBoostingRegressor(n_estimators=5, random_state=0), "number"),
    "tree regressor": Kind(lambda: DecisionTreeRegressor(max_depth=4, random_state=0), "number"),
    "histogram regressor": Kind(
        lambda: HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype"), "number", bare=True
    ),
    "lightgbm regressor": Kind(lambda: LGBMRegressor(n_estimators=5, min_child_samples=5, verbose=-1), "number", bare=True),
    "xgboost regressor": Kind(lambda: XGBRegressor(n_estimators=5, max_depth=3, enable_categorical=True), "number", bare=True),
    "k-means": Kind(lambda: KMeans(3, n_init=1, random_state=0), "none"),
    "mini-batch k-means": Kind(lambda: MiniBatchKMeans(3, n_init=1, random_state=0), "none"),
    "mixture": Kind(lambda: GaussianMixture(2, random_state=0, reg_covar=0.1), "none"),
    "isolation": Kind(lambda: IsolationForest(n_estimators=5, random_state=0), "none"),
    "components": Kind(lambda: PCA(1), "none"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table and its estimator are made of; hypothesis shrinks this."""

    columns: tuple[tuple[str, str], ...]
    """Name and kind of each column."""
    words: tuple[str, ...]
    classes: str
    estimator: str
    file: str
    seed: int
    encoder: str
    target: str
    """Name of the last column, if the estimator predicts one."""

    @property
    def task(self) -> str:
        """What the estimator does: `classify`, `number`, or `none` without a target."""
        return ESTIMATORS[self.estimator].task

    def frame(self) -> pd.DataFrame:
        """The table, with its target as the last column."""
        random = np.random.default_rng(self.seed)
        words = list(self.words)
        made = {name: _KINDS[self._kind(kind)](random, words) for name, kind in self.columns}
        kind = ESTIMATORS[self.estimator]
        if kind.counted_classes:
            made[self.target] = pd.Series(random.integers(0, 3, ROWS))
        elif kind.task != "none":
            made[self.target] = (_CLASSES[self.classes] if kind.task == "classify" else _NUMBERS["float64"])(random, words)
        return pd.DataFrame(made)

    def written(self, folder: Path) -> tuple[Path, pd.DataFrame]:
        """The data file, and the table as a user reads it for training."""
        frame, file = self.frame(), folder / f"data.{self.file}"
        if self.file == "parquet":
            frame.to_parquet(file)
            return file, pd.read_parquet(file)
        frame.to_csv(file, index=False)
        kinds = list(enumerate(self._kind(kind) for _, kind in self.columns))
        header = pd.read_csv(file, nrows=0).columns
        texts = {header[index]: str for index, kind in kinds if kind in _TEXTS and kind != "identifier"}
        return file, pd.read_csv(file, dtype=texts, parse_dates=[index for index, kind in kinds if kind in _TIMES])

    def fitted(self, frame: pd.DataFrame) -> Any:
        """The estimator, fitted on the table as its file holds it. Raises what a library raises for a table that it cannot take."""
        kind = ESTIMATORS[self.estimator]
        rows = features(frame, len(self.columns))
        model = kind.make() if self._is_bare(rows) else make_pipeline(self._encoder(rows), kind.make())
        return model.fit(rows) if kind.task == "none" else model.fit(rows, frame.iloc[:, -1])

    def _kind(self, kind: str) -> str:
        return "float64" if self.file == "csv" and kind == "timedelta" else kind

    def _is_bare(self, rows: pd.DataFrame) -> bool:
        """Whether the estimator takes the table without an encoder."""
        if ESTIMATORS[self.estimator].bare:
            return all(dtype.kind in "iufb" or isinstance(dtype, pd.CategoricalDtype) for dtype in rows.dtypes)
        return all(dtype.kind in "iuf" for dtype in rows.dtypes) and not rows.isna().to_numpy().any()

    def _encoder(self, rows: pd.DataFrame) -> ColumnTransformer:
        kinds = [self._kind(kind) for _, kind in self.columns]
        texts: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        if self.encoder == "ordinal":
            texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        steps = (
            ("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), _NUMBERS),
            ("floats", FunctionTransformer(as_float), _FLOATS),
            ("times", FunctionTransformer(seconds_since_1970), _TIMES),
            ("texts", texts, _TEXTS),
        )
        chosen = [
            (name, step, [column for column, kind in zip(rows, kinds, strict=True) if kind in group]) for name, step, group in steps
        ]
        return ColumnTransformer([each for each in chosen if each[2]])


def features(frame: pd.DataFrame, columns: int) -> pd.DataFrame:
    """The table without its target."""
    return frame.iloc[:, :columns]


def plans(estimator: str, most_columns: int = 60) -> st.SearchStrategy[Plan]:
    """Plans of tables with 1 to `most_columns` columns for a kind of estimator.

    What has one value is drawn first: hypothesis also tries copies of a part, which would shift what comes after a list.
    """
    column = st.tuples(TEXT, st.sampled_from(sorted(_KINDS)))
    few = st.lists(column, min_size=1, max_size=6, unique_by=lambda each: each[0])
    many = st.lists(column, min_size=1, max_size=most_columns, unique_by=lambda each: each[0])
    return st.builds(
        Plan,
        estimator=st.just(estimator),
        classes=st.sampled_from(sorted(_CLASSES)),
        file=st.sampled_from(["csv", "parquet"]),
        encoder=st.sampled_from(["one-hot", "ordinal"]),
        target=st.sampled_from(["species", "value", "label", "score", "decision", "lower", "probability", "Y 2"]),
        seed=st.integers(0, 2**20),
        words=WORDS.map(tuple),
        columns=st.one_of(few, few, few, many).map(tuple),
    ).filter(lambda plan: plan.target not in dict(plan.columns))
