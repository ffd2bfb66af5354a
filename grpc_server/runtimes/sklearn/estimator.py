"""Runtime of a fitted scikit-learn estimator."""

import pickle
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Self

from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from grpc_server.errors import ModelUnloadable, exception_text
from grpc_server.rows.mixed_rows import Dtype, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.runtime import Classes
from grpc_server.runtimes.sklearn.boosted_wrapper import quantile_names, quantiles_of
from grpc_server.runtimes.sklearn.estimator_input import InputConversion, input_by_trial, input_conversion
from grpc_server.runtimes.sklearn.estimator_outputs import class_types_of, classes_of, kind_of, last_step, sources
from grpc_server.runtimes.sklearn.first_step import dictionary_dtypes, takes_dictionaries, takes_single_numbers, takes_texts
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
        if not kind_of(estimator) or not (hasattr(estimator, "n_features_in_") or _is_fitted(estimator)):
            reason = f"{kind} is no fitted estimator that predicts or transforms new rows"
            raise ModelUnloadable(reason, "save one that is fitted and does")
        self.estimator, self.sklearn_version = estimator, sklearn_version
        names = getattr(estimator, "feature_names_in_", None)
        names = dictionary_dtypes(estimator) or None if names is None else names
        self.columns = None if names is None else tuple(map(str, names))
        self.width = _width(estimator, self.columns)
        self._knows_input = takes_dictionaries(estimator) or self.width > 0
        targets = classes_of(estimator)
        self.classes: tuple[str, ...] | None = targets[0] if len(targets) == 1 else ()
        self.targets = targets if len(targets) > 1 else ()
        self.target_names = quantile_names(quantiles_of(last_step(estimator)))
        """Names of several targets, if the estimator knows them."""
        self.class_types = class_types_of(estimator)
        self._sources: dict[bytes, tuple[Source, ...]] = {}

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime; an estimator knows its classes."""
        key = pickle.dumps((self.columns, tuple(dtypes), sample))
        if key not in self._sources:  # They cost a dozen runs of the estimator.
            self._sources[key] = sources(self.estimator, self.conversion(dtypes, sample), sample)
        return self._sources[key]

    def conversion(self, dtypes: Sequence[Dtype], sample: Rows) -> InputConversion | None:
        """From rows of these types to the estimator's input; None if it takes a Matrix as it is. See `input_conversion`."""
        if self._knows_input:
            return input_conversion(self.estimator, self.columns, dtypes)
        answer = getattr(self.estimator, "predict", None) or self.estimator.transform
        later = self.estimator.steps[1:] if isinstance(self.estimator, Pipeline) else []
        on_frame = any(hasattr(step, "feature_names_in_") for _, step in later)
        return input_by_trial(self.columns or (), dtypes, sample, answer, frame_first=on_frame)

    def of_columns(self, names: Sequence[str]) -> Self:
        """The same estimator with these columns, for one that does not know how many it takes."""
        named = copy(self)
        named.columns, named.width = tuple(names), len(names)
        return named


def _width(estimator: Any, columns: Sequence[str] | None) -> int:
    """The number of columns; 0 if the estimator does not know it."""
    if takes_texts(estimator) or takes_single_numbers(estimator):
        return 1
    return len(columns or ()) or int(getattr(estimator, "n_features_in_", 0))


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):  # A TypeError for an object without `fit`.
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
            if lookup := _failed_lookup(error):
                raise _missing_code(format_name, error, *lookup) from error
            version = _sklearn_version(caught)
            fix = f"it was fitted with scikit-learn {version}, so install that, or train it again" if version else ""
            raise ModelUnloadable(f"the {format_name} artifact does not load ({type(error).__name__})", fix) from error
    return estimator, _sklearn_version(caught)


def _sklearn_version(caught: list[warnings.WarningMessage]) -> str:
    found = (str(each.message.original_sklearn_version) for each in caught if isinstance(each.message, InconsistentVersionWarning))
    return next(found, "")


def _failed_lookup(error: Exception) -> tuple[str, str] | None:
    """The module and the name in it that the pickle or skops file looked up when it failed; None if it failed elsewhere."""
    found, trace = None, error.__traceback__
    while trace:
        names = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name in _LOOKUPS:
            found = names["module"], names.get("name") or names.get("cls_or_func", "")
        trace = trace.tb_next
    return found


_LOOKUPS = ("find_class", "_import_obj")
"""Functions of pickle and skops that import what a file names."""


def _missing_code(format_name: str, error: Exception, module: str, name: str) -> ModelUnloadable:
    """The refusal of an artifact that needs a module or a name in one that is not here."""
    artifact, library = f"the {format_name} artifact needs", module.partition(".")[0]
    if module == "__main__":
        fix = "move it into a module, import it from there, and train the model again"
        return ModelUnloadable(f"{artifact} `{name}` of the training script", fix)
    if library in _LIBRARIES:
        return ModelUnloadable(f"{artifact} `{module}.{name}` ({exception_text(error)})", f"install the {library} that trained it")
    if isinstance(error, ModuleNotFoundError):
        imported_by = "" if f"{module}.".startswith(f"{error.name}.") else f", which `{module}` imports"
        missing = error.name if imported_by else module
        return ModelUnloadable(f"{artifact} `{missing}` (module not found){imported_by}", "install it, or set PYTHONPATH")
    if isinstance(error, AttributeError):
        reason = f"{artifact} `{module}.{name}`, which the `{library}` here does not have"
        return ModelUnloadable(reason, "install the one with which the model was trained, or set PYTHONPATH")
    return ModelUnloadable(f"{artifact} `{module}`, which cannot be imported ({exception_text(error)})", "repair that module")


_LIBRARIES = frozenset({"sklearn", "numpy", "scipy", "pandas", "joblib"})
"""Libraries whose own modules move between versions."""
