"""Holds the order of classes and targets that a user states against the target columns of the training data."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foretell_contract.errors import SetupError
from grpc_server.checks.inspect_model import ModelDescription
from grpc_server.rows.outputs import Output
from grpc_server.store.training_values import SampleValues

_CLEARLY = 2
"""Another order is better if it agrees with this many times the rows, among those on which the orders differ."""


def check_class_order(model: ModelDescription, names: Sequence[str], option: str) -> None:
    """Raises SetupError if `names` for the classes of the only target repeat, or if the target column shows another order.

    `option` is the option that states them.
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise SetupError(f"{option} names {twice[0]!r} twice: give each class a name of its own")
    if not model.asked or len(model.target_values) != 1:
        return
    ((column, values),) = model.target_values.items()
    texts, predicted = _texts(model, values), _labels(model, 0)
    if predicted is None:
        return
    found = [Counter(texts[predicted == item].tolist()) for item in range(len(names))]
    order = _better_order(np.array([[each[name.casefold()] for name in names] for each in found], float))
    if order:
        wrong = next(item for item, place in enumerate(order) if item != place)
        raise SetupError(
            f"{option} {','.join(names)} calls class {wrong} of the model {names[wrong]!r}, but most of its rows have "
            f"{names[order[wrong]]!r} in the column {column!r}: pass {option} {','.join(names[place] for place in order)}"
        )


def check_target_order(model: ModelDescription) -> None:
    """Raises SetupError if the model's answers for several targets agree with their columns in another order only."""
    names = [target.name for target in model.targets]
    if not model.asked or len(names) < 2 or list(model.target_values) != names:
        return
    columns = list(model.target_values.values())
    order = _better_order(np.array([[_agreement(model, index, values) for values in columns] for index in range(len(names))]))
    if order:
        wrong = next(item for item, place in enumerate(order) if item != place)
        raise SetupError(
            f"--target {','.join(names)} calls output {wrong} of the model {names[wrong]!r}, but it predicts the column "
            f"{names[order[wrong]]!r}: pass --target {','.join(names[place] for place in order)}"
        )


def _better_order(agreement: NDArray[np.float64]) -> list[int] | None:
    """The column of `agreement` for each row that agrees clearly better than the same order; None if none does."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # It has no stubs, and takes a third of a second.

    _, order = linear_sum_assignment(agreement, maximize=True)
    moved = [item for item, place in enumerate(order) if item != place]
    stated, best = (sum(float(agreement[item, places[item]]) for item in moved) for places in (range(len(order)), order))
    return order.tolist() if moved and best > _CLEARLY * stated else None


def _agreement(model: ModelDescription, index: int, values: SampleValues) -> float:
    """How much better than its most frequent label, or its mean, a target's answers foretell a column, from 0 to 1."""
    assert model.asked is not None  # noqa: S101  # The callers have checked.
    labels, classes = _labels(model, index), [name.casefold() for name in model.targets[index].classes]
    if labels is not None:
        texts = _texts(model, values)
        guessed = max(Counter(texts.tolist()).values()) / len(texts)
        right = float(np.mean(np.array(classes, object)[labels.astype(int)] == texts))
        return max(0.0, (right - guessed) / (1 - guessed)) if guessed < 1 else 0.0
    wanted = Output("value", 0, index)
    held = values.at(model.asked.numbers - 1)
    if wanted not in model.asked.outputs or not all(isinstance(each, int | float) for each in held):
        return 0.0
    answers, truth = model.asked.answers[:, model.asked.outputs.index(wanted)], np.array(held, float)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return max(0.0, 1 - float(((truth - answers) ** 2).sum()) / spread) if spread else 0.0


def _labels(model: ModelDescription, index: int) -> NDArray[np.float64] | None:
    """The index of the class that the model gives to each row; None for a target without classes."""
    if model.asked is None or not model.targets[index].classes:
        return None
    outputs = model.asked.outputs
    if Output("label", 0, index) in outputs:
        found: NDArray[np.float64] = model.asked.answers[:, outputs.index(Output("label", 0, index))]
        return found
    places = [place for place, each in enumerate(outputs) if each.kind == "probability" and each.target == index]
    return model.asked.answers[:, places].argmax(1).astype(float) if places else None


def _texts(model: ModelDescription, values: SampleValues) -> NDArray[np.object_]:
    """The values of a column in the rows that the model was asked, as texts in lower case."""
    rows = model.asked.numbers - 1 if model.asked else np.empty(0, np.int64)
    return np.array([str(value).casefold() for value in values.at(rows)], object)
