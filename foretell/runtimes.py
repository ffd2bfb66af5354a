"""The public interface for packages that bring a model format of their own.

Such a package declares an entry point in the group `foretell.runtimes`. Its name is the format's name, its value a `Format`:

    [project.entry-points."foretell.runtimes"]
    scorecard = "scorecard:FORMAT"

`examples/runtime/` is a complete package; docs/reference/formats.md explains each part.

Promise: the names in `__all__`, their fields and the order of their arguments stay compatible within a major version of Foretell.
New fields have defaults. Everything else in Foretell's packages, except `foretell.testing`, may change with any release.
"""

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows, Table
from grpc_server.rows.outputs import Output, Source
from grpc_server.runtimes.formats.format import Format
from grpc_server.runtimes.runtime import Classes, Runtime

__all__ = ["Classes", "Dtype", "Format", "Matrix", "ModelUnloadable", "Output", "Rows", "Runtime", "Source", "Table"]
