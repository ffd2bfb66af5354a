"""ONNX files, run by ONNX Runtime (https://onnxruntime.ai). Serving them imports nothing of scikit-learn."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Read at import. Without it, a thread reports each process and model to the vendor.

import onnxruntime

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Source
from grpc_server.runtimes.formats.onnx_outputs import NUMBER_TYPES, GraphOutputs
from grpc_server.runtimes.runtime import Classes

COLUMNS, CLASSES, TARGETS = "foretell.columns", "foretell.classes", "foretell.targets"
"""Entries of the custom metadata, each a JSON list of strings in the file's own order: column names and class names.

The class list of a regressor is empty. A classifier of several targets has TARGETS instead: one class list for each target.
"""


class OnnxRuntime:
    """A classifier or regressor in one inference session."""

    def __init__(self, session: Any) -> None:
        """Raises ModelUnloadable for a graph that is no classifier or regressor of rows."""
        self._native = getattr(session, "_sess", session).run  # InferenceSession.run checks the names of outputs at each call.
        self._input, self.width, self._number_type = _input(session.get_inputs())
        metadata = session.get_modelmeta().custom_metadata_map
        self.columns = _names(metadata, COLUMNS, least=1)
        classes = _names(metadata, CLASSES, least=0)
        fits = partial(_are_names, least=2)
        lists = _entry(metadata, TARGETS, lambda lists: all(map(fits, lists)), "lists of names", '[["no", "yes"]]')
        self.targets = tuple(map(tuple, lists or []))
        stated = self.targets or (None if classes is None else [classes])
        self._outputs = GraphOutputs(session.get_outputs(), self._run, self.width, stated)
        keys = self._outputs.keys
        self.class_types = (self._outputs.class_type,) * max(len(self.targets), 1)
        no_names = bool(self.targets) or self._outputs.is_regressor
        self.classes = () if no_names else classes or (keys and tuple(map(str, keys))) or None

    def sources(self, dtypes: Sequence[Dtype], sample: Rows, classes: Classes = ()) -> tuple[Source, ...]:  # noqa: ARG002
        """See Runtime."""
        return self._outputs.sources(self.targets or ([self.classes] if self.classes else classes))

    def _run(self, names: list[str], rows: Matrix) -> list[Any]:
        found: list[Any] = self._native(names, {self._input: rows.astype(self._number_type, copy=False)}, None)
        return found


def load(artifact: bytes) -> OnnxRuntime:
    """A session on one thread that does not spin while it waits. Raises ModelUnloadable."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # Log fatal errors only: every error is raised as well.
    try:
        return OnnxRuntime(onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"]))
    except ModelUnloadable:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no public base class.
        raise ModelUnloadable(f"the onnx artifact does not load: {str(error)[:200]}", "export it again") from error


def _input(inputs: list[Any]) -> tuple[str, int, Any]:
    """Name, width and numpy type of the only input. Raises ModelUnloadable for inputs that are no rows."""
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs[:5])
        reason = f"the onnx artifact takes {len(inputs)} inputs ({names})"
        raise ModelUnloadable(reason, "export it with one, of shape [rows, columns]")
    (rows,) = inputs
    of_rows = len(rows.shape) == 2 and isinstance(rows.shape[1], int) and not isinstance(rows.shape[0], int)
    if rows.type not in NUMBER_TYPES or not of_rows:
        raise ModelUnloadable(f"the onnx input {rows.name} is {rows.type} of {rows.shape}", "export it as float of [rows, columns]")
    return rows.name, rows.shape[1], NUMBER_TYPES[rows.type]


def _names(metadata: dict[str, str], entry: str, least: int) -> tuple[str, ...] | None:
    names = _entry(metadata, entry, partial(_are_names, least=least), "names", '["no", "yes"]')
    return None if names is None else tuple(names)


def _are_names(names: Any, least: int) -> bool:
    return isinstance(names, list) and len(names) >= least and all(isinstance(name, str) for name in names)


def _entry(metadata: dict[str, str], entry: str, fits: Callable[[Any], bool], items: str, such_as: str) -> list[Any] | None:
    """The JSON list in an entry; None without the entry. Raises ModelUnloadable if the list does not fit."""
    if entry not in metadata:
        return None
    try:
        value = json.loads(metadata[entry])
    except ValueError:
        value = None
    if not isinstance(value, list) or not fits(value):
        reason = f"the onnx metadata entry {entry} is no JSON list of {items}: {metadata[entry][:80]!r}"
        raise ModelUnloadable(reason, f"write one, such as {such_as}")
    return value
