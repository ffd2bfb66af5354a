"""Where the answers of a conversion differ from those of its original by more than rounding."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from grpc_server.checks.manifest_agreement import GOLDEN_TOLERANCE
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import output_name
from grpc_server.store.manifest import Manifest


def disagreement(manifest: Manifest, outputs: Sequence[Output], rows: Matrix, expected: Matrix, answers: Matrix) -> str | None:
    """The number of rows that disagree, and the values on the worst of them; None if all agree.

    `expected` and `answers` have shape (rows, outputs). Labels must be equal, and so must the class of the highest probability of
    each target. Other numbers may differ by GOLDEN_TOLERANCE; a value may differ by GOLDEN_TOLERANCE of itself if it exceeds 1, and
    by GOLDEN_TOLERANCE of the largest value of its output if none reaches 1.
    """
    off = np.abs(answers - expected) / _tolerance(outputs, expected)
    off[np.isnan(off)] = np.inf
    within = off.max(1) <= 1
    probabilities = _probabilities_by_target(outputs)
    reordered = [(indices, expected[:, indices].argmax(1) != answers[:, indices].argmax(1)) for indices in probabilities]
    wrong = ~within | np.any([rows_of_target for _, rows_of_target in reordered], axis=0) if reordered else ~within
    if not wrong.any():
        return None
    row = int(np.where(wrong, off.max(1), -1.0).argmax())
    values = ", ".join(f"{column}={value!r}" for column, value in zip(manifest.columns, rows[row].tolist(), strict=True))
    start = f"{wrong.sum()} of {len(wrong)} rows, most at {values}: it gives "
    if not within[row]:
        return start + _both_values(manifest, outputs, int(off[row].argmax()), expected[row], answers[row])
    indices = next(indices for indices, rows_of_target in reordered if rows_of_target[row])
    likeliest, instead = (indices[int(each[row, indices].argmax())] for each in (expected, answers))
    both = _both_values(manifest, outputs, instead, expected[row], answers[row])
    return f"{start}{both}, so that {_short_name(manifest, outputs[likeliest])} is no longer the likeliest"


def _tolerance(outputs: Sequence[Output], expected: Matrix) -> Matrix:
    """Largest difference allowed, shape (rows, outputs)."""
    sizes = np.abs(expected)
    least = np.minimum(sizes.max(0), 1.0)
    is_value = np.array([output.kind == "value" for output in outputs])
    return GOLDEN_TOLERANCE * np.where(is_value, np.maximum(sizes, np.where(least > 0, least, 1.0)), 1.0)


def _probabilities_by_target(outputs: Sequence[Output]) -> list[list[int]]:
    """For each target, the indices of its probabilities among the outputs."""
    indices = [index for index, output in enumerate(outputs) if output.kind == "probability"]
    return [list(group) for _, group in groupby(indices, key=lambda index: outputs[index].target)]


def _both_values(manifest: Manifest, outputs: Sequence[Output], index: int, expected: Matrix, answer: Matrix) -> str:
    output = outputs[index]
    given, original = float(answer[index]), float(expected[index])
    name = _short_name(manifest, output)
    if output.kind == "label":
        classes = manifest.all_targets[output.target].classes
        return f"the {name} {classes[int(given)]!r}, the original {classes[int(original)]!r}"
    return f"{name} {given:.9g}, the original {original:.9g}"


def _short_name(manifest: Manifest, output: Output) -> str:
    return output_name(output, manifest.all_targets).removeprefix("probability.")
