"""ONNX, run by ONNX Runtime (https://onnxruntime.ai): nothing of scikit-learn is imported to serve it."""

import json
import os
from collections.abc import Sequence
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Else it tells its maker of each process and model, from a thread of its own.

import onnxruntime  # It looks at the variable once, when it is imported.

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats.onnx_outputs import NUMBERS, Outputs
from grpc_server.runtimes.runtime import Classes

COLUMNS, CLASSES, TARGETS = "foretell.columns", "foretell.classes", "foretell.targets"
"""Entries of a file's custom metadata: its columns and its classes, each a JSON list of strings in the file's own order.

A regressor's list of classes is empty; a classifier of several targets has a list of such lists instead.
"""


class OnnxRuntime:
    """A classifier or a regressor in one session."""

    def __init__(self, session: Any) -> None:
        """Raises ModelUnloadable when the graph is neither of the two, or takes no rows."""
        self._native = getattr(session, "_sess", session).run  # What its `run` calls, having looked at the names each time.
        self._input, self.width, self._number = _input(session.get_inputs())
        facts = session.get_modelmeta().custom_metadata_map
        self.columns = _names(facts, COLUMNS)
        classes = _names(facts, CLASSES, few=0)
        targets = _lists(facts)
        self._outputs = Outputs(session.get_outputs(), self._run, self.width, targets or (None if classes is None else [classes]))
        keys = self._outputs.keys
        self.classes = () if targets or self._outputs.is_regressor else classes or (keys and tuple(map(str, keys))) or None
        self.targets = targets

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        return self._outputs.sources(self.targets or ([self.classes] if self.classes else classes))

    def _run(self, names: list[str], rows: Matrix) -> list[Any]:
        found: list[Any] = self._native(names, {self._input: rows.astype(self._number, copy=False)}, None)
        return found


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
        raise ModelUnloadable(f"the onnx artifact does not load: {str(error)[:200]}", "export it again") from error


def _input(inputs: list[Any]) -> tuple[str, int, Any]:
    """Name, width and number type of the one input."""
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs[:5])
        raise ModelUnloadable(
            f"the onnx artifact takes {len(inputs)} inputs ({names})", "export it with one, of shape [rows, columns]"
        )
    (rows,) = inputs
    if rows.type not in NUMBERS or len(rows.shape) != 2 or not isinstance(rows.shape[1], int) or isinstance(rows.shape[0], int):
        raise ModelUnloadable(f"the onnx input {rows.name} is {rows.type} of {rows.shape}", "export it as float of [rows, columns]")
    return rows.name, rows.shape[1], NUMBERS[rows.type]


def _names(facts: dict[str, str], entry: str, few: int = 1) -> tuple[str, ...] | None:
    """The names in an entry, at least `few`; None where there is no entry."""
    if entry not in facts:
        return None
    names = _json(facts[entry])
    if not _is_names(names, few):
        raise ModelUnloadable(
            f"the onnx metadata entry {entry} is no JSON list of names: {facts[entry][:80]!r}", 'write one, such as ["no", "yes"]'
        )
    return tuple(names)


def _lists(facts: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    """The classes of each target, of several."""
    lists = _json(facts.get(TARGETS, "[]"))
    if not isinstance(lists, list) or not all(_is_names(names, 2) for names in lists):
        raise ModelUnloadable(
            f"the onnx metadata entry {TARGETS} is no JSON list of lists of names: {facts[TARGETS][:80]!r}",
            'write one, such as [["no", "yes"]]',
        )
    return tuple(map(tuple, lists))


def _is_names(names: Any, few: int) -> bool:
    return isinstance(names, list) and len(names) >= few and all(isinstance(name, str) for name in names)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
