"""A scikit-learn model as a runtime."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.runtime import Classes
from grpc_server.runtimes.sklearn.estimator_input import feeding, takes_texts
from grpc_server.runtimes.sklearn.estimator_outputs import classes_of, kind_of, sources
from grpc_server.runtimes.sklearn.interval import Interval


class EstimatorRuntime:
    """A fitted estimator: classifier, regressor, outlier detector, clusterer or transformer.

    It is fed plain arrays in training order wherever those will do, because columns are bound by name before; an estimator that
    was fitted on a data frame would otherwise warn on every call.
    """

    def __init__(self, estimator: Any, fitted_with: str = "") -> None:
        """`fitted_with` is the version of scikit-learn, where that is another than the one here.

        Raises ModelUnloadable when it is no fitted estimator that answers new rows.
        """
        kind = type(estimator).__name__
        estimator = Interval.of(estimator) or estimator
        texts = takes_texts(estimator)
        if not kind_of(estimator) or not (hasattr(estimator, "n_features_in_") or (texts and _is_fitted(estimator))):
            raise ModelUnloadable(
                f"{kind} is no fitted estimator that predicts or transforms rows of a known number of columns",
                "save one that is fitted and does",
            )
        self.estimator, self.fitted_with = estimator, fitted_with
        names = getattr(estimator, "feature_names_in_", None)
        self.columns = None if names is None else tuple(map(str, names))
        self.width = 1 if texts else int(estimator.n_features_in_)
        targets = classes_of(estimator)
        self.classes: tuple[str, ...] | None = targets[0] if len(targets) == 1 else ()
        self.targets = targets if len(targets) > 1 else ()

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime; an estimator knows its classes."""
        return sources(self.estimator, feeding(self.estimator, self.columns, dtypes), sample)


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


class Fitting:
    """What unpickling tells of how a model was fitted."""

    version = ""
    """Of scikit-learn; empty where it is the one that is installed."""


@contextmanager
def unloadable(format_name: str) -> Iterator[Fitting]:
    """Turn whatever goes wrong while unpickling into ModelUnloadable; the Fitting is filled at the end."""
    fitting = Fitting()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield fitting
        except ModelUnloadable:
            raise
        except ModuleNotFoundError as missing:
            if missing.name != "pandas":
                raise _unreadable(format_name, missing, caught) from missing
            raise ModelUnloadable(
                "the model was fitted on a data frame, which needs pandas", "pip install 'foretell[frames]'"
            ) from None
        except Exception as error:
            raise _unreadable(format_name, error, caught) from error
    fitting.version = _fitted_with(caught)


def _unreadable(format_name: str, error: Exception, caught: list[warnings.WarningMessage]) -> ModelUnloadable:
    fitted = _fitted_with(caught)
    fix = f"it was fitted with scikit-learn {fitted}, so install that, or train it again" if fitted else ""
    return ModelUnloadable(f"the {format_name} artifact does not load ({type(error).__name__})", fix)


def _fitted_with(caught: list[warnings.WarningMessage]) -> str:
    found = (str(each.message.original_sklearn_version) for each in caught if isinstance(each.message, InconsistentVersionWarning))
    return next(found, "")
