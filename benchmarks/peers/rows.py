"""The peers, one row each."""

from pathlib import Path

from benchmarks.peers.peer_protocols import JsonProtocol, V2GrpcProtocol, v2_answer, v2_document
from benchmarks.protocols import WireProtocol
from benchmarks.servers import Server
from benchmarks.workloads import ROOT

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".tools/peers"
PEERS = "peers"
"""The name of the case."""

V2 = JsonProtocol("/v2/models/iris/infer", v2_document, v2_answer)
KSERVE_V1 = JsonProtocol("/v1/models/iris:predict", lambda rows: {"instances": rows.tolist()})
ROWS_IN = JsonProtocol("/predict", lambda rows: {"rows": rows.tolist()})
BENTO_BATCHES = JsonProtocol("/predict", lambda rows: {"rows": rows.tolist()}, lambda document: tuple(zip(*document, strict=True)))
V2_GRPC = V2GrpcProtocol()


def installed(peer: str) -> bool:
    """Whether the environment of a peer is complete."""
    return (ENVIRONMENTS / f"{peer}.stamp").is_file()


def _row(peer: str, name: str, says: str, protocol: WireProtocol, *arguments: str) -> Server:
    """A peer; MODEL, FOLDER and PORT in `arguments` are replaced by their values."""

    def command(folder: Path, port: int) -> list[str]:
        places = {"MODEL": str(folder / "iris.joblib"), "FOLDER": str(folder / peer), "PORT": str(port)}
        variables = [f"PEER_MODEL={places['MODEL']}", f"BENTOML_HOME={places['FOLDER']}", "BENTOML_DO_NOT_TRACK=True"]
        binaries = ENVIRONMENTS / peer / "bin"
        return ["env", "--unset=PYTHONPATH", *variables, str(binaries / arguments[0]), *(places.get(a, a) for a in arguments[1:])]

    return Server(name, says, protocol, command, (PEERS,), missing="" if installed(peer) else "its packages could not be installed")


def _bento(name: str, says: str, protocol: WireProtocol, service: str) -> Server:
    served = ("serve", f"bentoml_server:{service}", "--working-dir", str(HERE), "--host", "127.0.0.1", "--port", "PORT")
    return _row("bentoml", name, says, protocol, "bentoml", *served)


def _script(peer: str, name: str, says: str, protocol: WireProtocol, *arguments: str) -> Server:
    return _row(peer, name, says, protocol, "python", str(HERE / f"{peer}_server.py"), "MODEL", *arguments)


def _mlserver(name: str, says: str, protocol: WireProtocol, door: str, processes: str, most: str) -> tuple[str, Server]:
    return "mlserver", _script("mlserver", name, says, protocol, "FOLDER", door, "PORT", processes, most)


ROWS: tuple[tuple[str, Server], ...] = (
    _mlserver("MLServer REST", "its scikit-learn runtime, V2, one inference process as by default", V2, "rest", "1", "0"),
    _mlserver("MLServer REST, in process", "the same without inference processes", V2, "rest", "0", "0"),
    _mlserver("MLServer REST, in process, batching", "and batches of 64, 2 ms", V2, "rest", "0", "64"),
    _mlserver("MLServer gRPC, in process", "the same without batches, over gRPC", V2_GRPC, "grpc", "0", "0"),
    ("kserve", _script("kserve", "KServe REST", "a model of its SDK, V1", KSERVE_V1, "rest", "PORT")),
    ("kserve", _script("kserve", "KServe gRPC", "the same, V2", V2_GRPC, "grpc", "PORT")),
    ("bentoml", _bento("BentoML", "a service that takes an array", ROWS_IN, "Plain")),
    ("bentoml", _bento("BentoML, batching", "the same, batchable", BENTO_BATCHES, "Batching")),
    ("litserve", _script("litserve", "LitServe", "a LitAPI", ROWS_IN, "PORT", "1")),
    ("litserve", _script("litserve", "LitServe, batching", "batches of 64, no wait", ROWS_IN, "PORT", "64")),
)
"""Pairs of environment and server."""
