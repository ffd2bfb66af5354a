"""ONNX, run by ONNX Runtime (https://onnxruntime.ai): nothing of scikit-learn is imported to serve it."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from grpc_server.errors import ModelUnloadable
from grpc_server.outputs import Source, probabilities
from grpc_server.table import Dtype, Matrix, Rows

COLUMNS, CLASSES = "foretell.columns", "foretell.classes"
"""Entries of a file's custom metadata that name its columns and classes, each a JSON list of strings in the file's own order."""

_NUMBERS = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_MAPS = {"seq(map(string,tensor(float)))", "seq(map(int64,tensor(float)))"}


class OnnxRuntime:
    """A classifier in one session: rows in, probabilities out as a tensor or as ZipMap's list of maps."""

    targets: tuple[tuple[str, ...], ...] = ()

    def __init__(self, session: Any) -> None:
        """Raises ModelUnloadable when the graph is no classifier of rows."""
        self._session = session
        self._input, self.width, self._number = _input(session.get_inputs())
        self._output = _output(session.get_outputs())
        facts = session.get_modelmeta().custom_metadata_map
        self.columns = _names(facts, COLUMNS)
        zeros = np.zeros((1, self.width))
        first = self._run(zeros)
        self._keys = list(first[0]) if isinstance(first, list) else None
        self.classes = _names(facts, CLASSES) or (self._keys and tuple(map(str, self._keys))) or None
        answer = self._outputs(zeros)
        self._count = answer.shape[1]
        if self.classes and len(self.classes) != answer.shape[1]:
            raise ModelUnloadable(
                f"the onnx output {self._output} has {answer.shape[1]} classes, {CLASSES} names {len(self.classes)}"
            )
        total = answer.sum()
        if abs(total - 1) > 1e-3:  # It may well be NaN: zeros need not be within the bounds.
            raise ModelUnloadable(f"the onnx output {self._output} adds up to {total:g}, not to 1: these are no probabilities")

    def sources(self, dtypes: Sequence[Dtype], sample: Rows) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        return (probabilities(self._count, self.predict),)

    def predict(self, rows: Matrix) -> Matrix:
        """Probabilities, shape (n, classes)."""
        answers = self._outputs(rows)
        # A graph adds in float32, so that a certain class may come out as 1.0000001, which is no probability.
        return answers.clip(0.0, 1.0, out=answers)

    def _outputs(self, rows: Matrix) -> Matrix:
        outputs = self._run(rows)
        if self._keys is not None:
            outputs = [[row[key] for key in self._keys] for row in outputs]
        return np.array(outputs, np.float64)

    def _run(self, rows: Matrix) -> Any:
        return self._session.run([self._output], {self._input: rows.astype(self._number, copy=False)})[0]


def load(artifact: bytes) -> OnnxRuntime:
    """A session on one thread, which sleeps while it waits. Raises ModelUnloadable."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # What is wrong is raised, and said by us.
    try:
        return OnnxRuntime(onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"]))
    except ModelUnloadable:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no public base.
        raise ModelUnloadable(f"the onnx artifact does not load: {str(error)[:200]}") from error


def _input(inputs: list[Any]) -> tuple[str, int, Any]:
    """Name, width and number type of the one input."""
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs[:5])
        raise ModelUnloadable(
            f"the onnx artifact takes {len(inputs)} inputs ({names}): export it with one, of shape [rows, columns]"
        )
    (rows,) = inputs
    if rows.type not in _NUMBERS or len(rows.shape) != 2 or not isinstance(rows.shape[1], int) or isinstance(rows.shape[0], int):
        raise ModelUnloadable(f"the onnx input {rows.name} is {rows.type} of {rows.shape}: export it as float of [rows, columns]")
    return rows.name, rows.shape[1], _NUMBERS[rows.type]


def _output(outputs: list[Any]) -> str:
    """Name of the one output that can hold probabilities."""
    fit = [each.name for each in outputs if each.type in _MAPS or (each.type in _NUMBERS and len(each.shape) == 2)]
    if len(fit) != 1:
        names = ", ".join(f"{each.name}: {each.type}" for each in outputs[:5])
        raise ModelUnloadable(f"{len(fit)} onnx outputs can be probabilities, among {names}: export one, of [rows, classes]")
    return str(fit[0])


def _names(facts: dict[str, str], entry: str) -> tuple[str, ...] | None:
    if entry not in facts:
        return None
    try:
        names = json.loads(facts[entry])
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelUnloadable(f"the onnx metadata entry {entry} is no JSON list of names: {facts[entry][:80]!r}")
    return tuple(names)
