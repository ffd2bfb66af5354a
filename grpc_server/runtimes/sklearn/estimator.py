"""Runtime of a fitted scikit-learn estimator."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.runtime import Classes
from grpc_server.runtimes.sklearn.estimator_input import input_conversion, takes_texts
from grpc_server.runtimes.sklearn.estimator_outputs import class_types_of, classes_of, kind_of, sources
from grpc_server.runtimes.sklearn.interval_regressor import IntervalRegressor


class EstimatorRuntime:
    """A fitted estimator: classifier, regressor, outlier detector, clusterer or transformer.

    It predicts plain arrays in training order if the estimator takes them, since the columns have been matched by name already.
    An estimator that was fitted on a data frame warns at each such call.
    """

    def __init__(self, estimator: Any, sklearn_version: str = "") -> None:
        """`sklearn_version` is the version of scikit-learn that fitted the estimator, if that is not the installed one.

        Raises ModelUnloadable for an object that is no fitted estimator, or does not predict new rows.
        """
        kind = type(estimator).__name__
        estimator = IntervalRegressor.of(estimator) or estimator
        texts = takes_texts(estimator)
        if not kind_of(estimator) or not (hasattr(estimator, "n_features_in_") or (texts and _is_fitted(estimator))):
            reason = f"{kind} is no fitted estimator that predicts or transforms rows of a known number of columns"
            raise ModelUnloadable(reason, "save one that is fitted and does")
        self.estimator, self.sklearn_version = estimator, sklearn_version
        names = getattr(estimator, "feature_names_in_", None)
        self.columns = None if names is None else tuple(map(str, names))
        self.width = 1 if texts else int(estimator.n_features_in_)
        targets = classes_of(estimator)
        self.classes: tuple[str, ...] | None = targets[0] if len(targets) == 1 else ()
        self.targets = targets if len(targets) > 1 else ()
        self.class_types = class_types_of(estimator)

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime; an estimator knows its classes."""
        return sources(self.estimator, input_conversion(self.estimator, self.columns, dtypes), sample)


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def unpickled(format_name: str, load: Callable[[], Any]) -> tuple[Any, str]:
    """The estimator that `load` gives, and the version of scikit-learn that fitted it; empty if it is the installed version.

    Turns each exception of `load` into ModelUnloadable. For one thread: warnings are recorded for the whole process.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = load()
        except ModelUnloadable:
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "pandas":
                reason = "the model was fitted on a data frame, which needs pandas"
                raise ModelUnloadable(reason, "pip install 'foretell[frames]'") from None
            version = _sklearn_version(caught)
            fix = f"it was fitted with scikit-learn {version}, so install that, or train it again" if version else ""
            raise ModelUnloadable(f"the {format_name} artifact does not load ({type(error).__name__})", fix) from error
    return estimator, _sklearn_version(caught)


def _sklearn_version(caught: list[warnings.WarningMessage]) -> str:
    found = (str(each.message.original_sklearn_version) for each in caught if isinstance(each.message, InconsistentVersionWarning))
    return next(found, "")
