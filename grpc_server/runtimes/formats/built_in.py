"""The formats that Foretell brings."""

from importlib.metadata import EntryPoint

from grpc_server.runtimes.formats.format import GROUP, Format

_SCIKIT_LEARN = ("scikit-learn", "numpy", "scipy", "joblib", "skops")

SKOPS = Format((".skops",), "grpc_server.runtimes.formats.skops_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True)
JOBLIB = Format(
    (".joblib", ".pkl"), "grpc_server.runtimes.formats.joblib_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True
)
ONNX = Format(
    (".onnx",), "grpc_server.runtimes.formats.onnx_format:load", ("numpy", "onnxruntime"), install="foretell[onnx]", forks=True
)
TREES = Format(
    (".tl",), "grpc_server.runtimes.formats.trees_format:load", ("numpy", "treelite"), install="foretell[trees]", forks=True
)

XGBOOST = Format(
    (".ubj", ".json", ".xgb"),
    "grpc_server.runtimes.formats.xgboost_format:load",
    ("numpy", "xgboost", "xgboost-cpu"),
    recognises=lambda data: data.lstrip()[:1] == b"{" and b"learner_model_param" in data,
    install="foretell[xgboost]",
    forks=True,
)
LIGHTGBM = Format(
    (".txt", ".lgb"),
    "grpc_server.runtimes.formats.lightgbm_format:load",
    ("numpy", "lightgbm"),
    recognises=lambda data: data.startswith((b"tree\n", b"tree\r\n")),
    install="foretell[lightgbm]",
    forks=True,
)

ENTRY_POINTS = tuple(
    EntryPoint(name.lower(), f"{__name__}:{name}", GROUP) for name in ("SKOPS", "JOBLIB", "ONNX", "TREES", "XGBOOST", "LIGHTGBM")
)
"""As a package of their own would declare them; so they need no installation, and nothing else may take their names."""
