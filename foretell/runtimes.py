"""What a package with a model format of its own imports: everything here is public and stays compatible.

Such a package declares an entry point in the group `foretell.runtimes` that names a `Format`.
"""

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, Matrix, Rows
from grpc_server.rows.outputs import Output, Source
from grpc_server.runtimes.formats.format import Format
from grpc_server.runtimes.runtime import Classes, Runtime

__all__ = ["Classes", "Dtype", "Format", "Matrix", "ModelUnloadable", "Output", "Rows", "Runtime", "Source"]
