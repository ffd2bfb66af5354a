"""The formats that Foretell brings."""

from importlib.metadata import EntryPoint

from grpc_server.runtimes.formats.format import GROUP, Format

_ROOM = "grpc_server.runtimes.formats"
_SCIKIT_LEARN = ("scikit-learn", "numpy", "scipy", "joblib", "skops")

SKOPS = Format((".skops",), f"{_ROOM}.skops_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True)
JOBLIB = Format((".joblib", ".pkl"), f"{_ROOM}.joblib_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True)
ONNX = Format((".onnx",), f"{_ROOM}.onnx_format:load", ("numpy", "onnxruntime"), install="foretell[onnx]", forks=True)
TREES = Format((".tl",), f"{_ROOM}.trees_format:TreesRuntime", ("numpy", "treelite"), install="foretell[trees]", forks=True)
XGBOOST = Format(
    (".ubj", ".json", ".xgb"),
    f"{_ROOM}.xgboost_format:XgboostRuntime",
    ("numpy", "xgboost", "xgboost-cpu"),
    recognises=lambda data: data.lstrip()[:1] == b"{" and b"learner_model_param" in data,
    install="foretell[xgboost]",
    forks=True,
)
LIGHTGBM = Format(
    (".txt", ".lgb"),
    f"{_ROOM}.lightgbm_format:LightgbmRuntime",
    ("numpy", "lightgbm"),
    recognises=lambda data: data.startswith((b"tree\n", b"tree\r\n")),
    install="foretell[lightgbm]",
    forks=True,
)

ENTRY_POINTS = tuple(
    EntryPoint(name.lower(), f"{__name__}:{name}", GROUP) for name in ("SKOPS", "JOBLIB", "ONNX", "TREES", "XGBOOST", "LIGHTGBM")
)
"""Entry points as a package would declare them. Listed here, they exist without installing Foretell, and no package can take their
names."""
