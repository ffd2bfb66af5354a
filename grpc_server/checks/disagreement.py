"""Where the answers of a conversion are not those of its original, in words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grpc_server.checks.golden_rows import GOLDEN_TOLERANCE
from grpc_server.rows.class_names import name_of
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output
from grpc_server.store.manifest import Manifest


def disagreement(manifest: Manifest, outputs: Sequence[Output], rows: Matrix, expected: Matrix, answers: Matrix) -> str | None:
    """On how many rows the answers differ, and how on the worst of them; None where they agree.

    Both have shape (rows, outputs). Labels are to be equal, and so is the class of the highest probability; a number may be
    GOLDEN_TOLERANCE off. For a value it is taken of the value itself where that is more than 1, and of the greatest value of its
    target where none is as much as 1.
    """
    off = np.abs(answers - expected) / _allowed(outputs, expected)
    off[np.isnan(off)] = np.inf
    near = off.max(1) <= 1
    torn = [(places, _torn(places, expected, answers)) for places in _by_target(outputs)]
    wrong = ~near | np.any([each for _, each in torn], axis=0) if torn else ~near
    if not wrong.any():
        return None
    row = int(np.where(wrong, off.max(1), -1.0).argmax())
    pairs = zip(manifest.columns, rows[row].tolist(), strict=True)
    place = ", ".join(f"{column}={value!r}" for column, value in pairs)
    start = f"{wrong.sum()} of {len(wrong)} rows, most at {place}: it gives "
    if not near[row]:
        return start + _both(manifest, outputs, int(off[row].argmax()), expected[row], answers[row])
    places = next(places for places, each in torn if each[row])
    likeliest, instead = (places[int(each[row, places].argmax())] for each in (expected, answers))
    said = _both(manifest, outputs, instead, expected[row], answers[row])
    return f"{start}{said}, so that {_name(manifest, outputs[likeliest])} is no longer the likeliest"


def _allowed(outputs: Sequence[Output], expected: Matrix) -> Matrix:
    sizes = np.abs(expected)
    least = np.minimum(sizes.max(0), 1.0)
    is_value = np.array([output.kind == "value" for output in outputs])
    return GOLDEN_TOLERANCE * np.where(is_value, np.maximum(sizes, np.where(least > 0, least, 1.0)), 1.0)


def _by_target(outputs: Sequence[Output]) -> list[list[int]]:
    """The places of the probabilities of each target."""
    places: dict[int, list[int]] = {}
    for place, output in enumerate(outputs):
        if output.kind == "probability":
            places.setdefault(output.target, []).append(place)
    return list(places.values())


def _torn(places: list[int], expected: Matrix, answers: Matrix) -> NDArray[np.bool_]:
    """Rows of which another class is the likeliest."""
    torn: NDArray[np.bool_] = expected[:, places].argmax(1) != answers[:, places].argmax(1)
    return torn


def _both(manifest: Manifest, outputs: Sequence[Output], place: int, expected: Matrix, answer: Matrix) -> str:
    output = outputs[place]
    said, meant = float(answer[place]), float(expected[place])
    if output.kind == "label":
        classes = manifest.all_targets[output.target].classes
        return f"the {_name(manifest, output)} {classes[int(said)]!r}, the original {classes[int(meant)]!r}"
    return f"{_name(manifest, output)} {said:.9g}, the original {meant:.9g}"


def _name(manifest: Manifest, output: Output) -> str:
    return name_of(output, manifest.all_targets).removeprefix("probability.")
