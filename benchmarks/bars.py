"""The bars that Foretell must meet, as data, and their evaluation on measured results."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.cases import Load
from benchmarks.page.growth import power, sizes
from benchmarks.rounds import ALONE, Result
from benchmarks.servers import COLUMNS, FOREST, IRIS, POST, POST_OWN, POST_TWICE, ROWS, SHIPPED, TWO_CORES
from benchmarks.workloads import ONNX, SKLEARN


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of a measured value."""

    at_least: float | None = None
    at_most: float | None = None
    unit: str = "x"

    def met(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}{self.unit}"
        return f"≥ {self.at_least:g}{self.unit}" if self.at_least is not None else f"≤ {self.at_most:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of one server under one load."""

    case: str
    server: str
    load: Load
    figure: str

    def by_round(self, results: Iterable[Result]) -> dict[int, float]:
        """Its values by round; empty if it was not measured."""
        place = (self.case, self.server, self.load)
        return {r.round: float(getattr(r.figures, self.figure)) for r in results if (r.case, r.server, r.load) == place}


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure divided by another of the same round, or the figure itself if `over` is empty."""

    says: str
    limit: Limit
    of: Cell
    over: tuple[Cell, ...] = ()
    joined: Callable[[Iterable[float]], float] = sum
    """Joins several cells in `over` to one number."""

    @property
    def places(self) -> set[tuple[str, str]]:
        """The cases and servers that it needs."""
        return {(cell.case, cell.server) for cell in (self.of, *self.over)}

    def measured(self, results: list[Result]) -> float | None:
        """The median over the rounds; None if a figure that it needs was not measured."""
        own = self.of.by_round(results)
        others = [cell.by_round(results) for cell in self.over]
        rounds = set(own).intersection(*others)
        ratios = [own[number] / (self.joined(other[number] for other in others) if others else 1.0) for number in rounds]
        return median(ratios) if ratios else None


@dataclass(frozen=True, slots=True)
class Growth:
    """The exponent with which the CPU of a request grows over the last two decades of a growth case."""

    says: str
    case: str
    server: str
    limit: Limit = Limit(at_least=0.9, at_most=1.1, unit="")

    @property
    def places(self) -> set[tuple[str, str]]:
        """As of a Ratio."""
        return {(self.case, self.server)}

    def measured(self, results: list[Result]) -> float | None:
        """As of a Ratio."""
        mine = [result for result in results if (result.case, result.server) == (self.case, self.server)]
        grown = sizes(mine)
        costs: dict[int, dict[int, float]] = {}
        for result in mine:
            costs.setdefault(result.round, {})[grown[result.load]] = result.figures.cpu
        powers = [power(sized) for sized in costs.values() if len(sized) == len(grown) > 1]
        return median(powers) if powers else None


Bar = Ratio | Growth

RATE, P50, P99, CPU, RSS = "per_second", "p50_ms", "p99_ms", "cpu", "rss_mib"
SERVE_GRPC, SERVE_REST = "foretell serve, gRPC", "foretell serve, REST"
GRPC, GRPC_ONNX, AIO_ONNX = "foretell gRPC", "foretell gRPC, ONNX", "foretell gRPC, aio shell, ONNX"
REST, REST_ONNX = "foretell REST", "foretell REST, ONNX"
APART, APART_ONNX = "foretell REST, two processes", "foretell REST, two processes, ONNX"
WORKERS = "foretell gRPC, workers"
SYNC_ECHO, AIO_ECHO, CPP_ECHO, UVICORN = "bare grpcio sync", "bare grpcio aio", "bare gRPC in C++", "bare uvicorn"
THE_POST = "the post's app"


def _default(case: str, server: str, callers: int, least: float, other: str = POST, against: str = THE_POST) -> Ratio:
    """The rate of `foretell serve` as it comes against that of another server."""
    load = Load("iris" if case == SHIPPED else case.removeprefix("drafted "), 1, callers)
    says = f"{case}, {server.removeprefix('foretell serve, ')}, {callers} caller{'s' * (callers > 1)}: req/s against {against}"
    return Ratio(says, Limit(at_least=least), Cell(case, server, load, RATE), (Cell(case, other, load, RATE),))


def _iris(server: str, figure: str, callers: int = 64, rows: int = 1) -> Cell:
    return Cell(IRIS, server, Load("iris", rows, callers), figure)


def _against(says: str, limit: Limit, server: str, other: str, figure: str = RATE, callers: int = 64, rows: int = 1) -> Ratio:
    """A figure of iris against the same figure of another server."""
    return Ratio(says, limit, _iris(server, figure, callers, rows), (_iris(other, figure, callers, rows),))


def _to_post(says: str, least: float, server: str, callers: int = 64, rows: int = 1) -> Ratio:
    """The rate of iris against that of the post's app."""
    says = f"{says}: req/s against {THE_POST}"
    return _against(says, Limit(at_least=least), server, POST, callers=callers, rows=rows)


def _beside_model(says: str, most: float, server: str, kind: str) -> Ratio:
    """CPU of the server for 1,000 rows against the CPU of the model alone."""
    of, model = _iris(server, CPU, 1, 1_000), _iris(ALONE[kind], CPU, 1, 1_000)
    return Ratio(f"1,000 rows a request, {says}: CPU against the model alone", Limit(at_most=most), of, (model,))


def _alone_caller(says: str, server: str, kind: str) -> Ratio:
    over = (_iris(AIO_ECHO, P50, 1), _iris(ALONE[kind], P50, 1))
    return Ratio(f"gRPC, 1 caller, {says}: p50 against bare aio echo + model", Limit(at_most=1.0), _iris(server, P50, 1), over)


def _forest(says: str, least: float, server: str) -> Ratio:
    load = Load("cancer", 1, 16)
    says = f"forest, {says}, 16 callers: req/s against {THE_POST}"
    return Ratio(says, Limit(at_least=least), Cell(FOREST, server, load, RATE), (Cell(FOREST, POST, load, RATE),))


def _health(says: str, server: str) -> Ratio:
    says = f"forest, {says}, 16 callers: p99 of health checks meanwhile"
    return Ratio(says, Limit(at_most=20, unit=" ms"), Cell(FOREST, server, Load("cancer", 1, 16, probed=True), "health_p99_ms"))


def _two_cores(says: str, least: float, server: str) -> Ratio:
    load = Load("iris", 1, 64)
    of, over = Cell(TWO_CORES, server, load, RATE), Cell(TWO_CORES, POST_TWICE, load, RATE)
    says = f"two cores, nothing pinned, 64 callers, {says}: req/s against the post's, two workers"
    return Ratio(says, Limit(at_least=least), of, (over,))


def _at_most(says: str, most: float, unit: str, server: str, figure: str, case: str = IRIS) -> Ratio:
    """A figure at 64 callers."""
    return Ratio(says, Limit(at_most=most, unit=unit), Cell(case, server, Load("iris", 1, 64), figure))


AS_THEY_COME: dict[str, dict[int, tuple[float, float]]] = {
    "drafted iris": {1: (3.5, 3.5), 64: (12, 13)},
    "drafted forest": {1: (20, 20), 16: (80, 80)},
    "drafted boosting": {1: (5, 5), 16: (20, 20)},
    "drafted categories": {1: (2, 2), 16: (8, 8)},
}
"""The least rates over gRPC and REST in those of the post's app, by case and callers."""

BARS: tuple[Bar, ...] = (
    *(
        _default(case, server, callers, least)
        for case, by_callers in AS_THEY_COME.items()
        for callers, both in by_callers.items()
        for server, least in zip((SERVE_GRPC, SERVE_REST), both, strict=True)
    ),
    *(_default(SHIPPED, server, 1, 3, POST_OWN, "the post's app with its model") for server in (SERVE_GRPC, SERVE_REST)),
    _default("drafted iris", SERVE_REST, 64, 0.8, UVICORN, UVICORN),
    _default("drafted iris", SERVE_GRPC, 64, 0.45, CPP_ECHO, "an echo in C++"),
    _at_most("drafted iris, REST: RSS after 64 callers", 290, " MiB", SERVE_REST, RSS, "drafted iris"),
    _at_most("drafted iris, REST: start to first answer", 2, " s", SERVE_REST, "start", "drafted iris"),
    _against("gRPC, 64 callers, scikit-learn: req/s against bare grpcio sync echo", Limit(at_least=2.2), GRPC, SYNC_ECHO),
    _against("gRPC, 64 callers, ONNX: req/s against bare grpcio sync echo", Limit(at_least=2.6), GRPC_ONNX, SYNC_ECHO),
    _against(f"gRPC, 64 callers, scikit-learn: p99 against {THE_POST}", Limit(at_most=0.06), GRPC, POST, P99),
    _against(f"gRPC, 64 callers, ONNX: p99 against {THE_POST}", Limit(at_most=0.06), GRPC_ONNX, POST, P99),
    _at_most("gRPC, 64 callers, scikit-learn: context switches a request", 2, "", GRPC, "switches"),
    _at_most("gRPC, 64 callers, ONNX: context switches a request", 2, "", GRPC_ONNX, "switches"),
    _against("gRPC, aio shell, 64 callers, ONNX: req/s against bare grpcio aio echo", Limit(at_least=0.6), AIO_ONNX, AIO_ECHO),
    _alone_caller("scikit-learn", GRPC, SKLEARN),
    _alone_caller("ONNX", GRPC_ONNX, ONNX),
    *(
        bar
        for kind, server, apart in (("scikit-learn", REST, APART), ("ONNX", REST_ONNX, APART_ONNX))
        for bar in (
            _to_post(f"REST, 64 callers, {kind}", 9, server),
            _against(f"REST, 64 callers, {kind}: p99 against {THE_POST}", Limit(at_most=0.06), server, POST, P99),
            _to_post(f"REST, 16 callers, {kind}", 4, server, 16),
            _to_post(f"REST, one process, 1 caller, {kind}", 3.5, server, 1),
            _to_post(f"REST, two processes, 1 caller, {kind}", 1, apart, 1),
        )
    ),
    _forest("accelerated", 70, "foretell gRPC, auto"),
    _forest("as trained", 5, GRPC),
    _forest("as trained, in worker processes", 5, WORKERS),
    _health("as trained", GRPC),
    _health("as trained, in worker processes", WORKERS),
    _beside_model("gRPC, scikit-learn", 1.35, GRPC, SKLEARN),
    _beside_model("gRPC, ONNX", 1.8, GRPC_ONNX, ONNX),
    _beside_model("REST, scikit-learn", 2.0, REST, SKLEARN),
    _to_post("1,000 rows a request, gRPC, scikit-learn", 3, GRPC, 1, 1_000),
    _to_post("1,000 rows a request, gRPC, ONNX", 3, GRPC_ONNX, 1, 1_000),
    _to_post("1,000 rows a request, REST, scikit-learn", 3, REST, 1, 1_000),
    *(
        Growth(f"CPU of a request grows in proportion to its {what}, {protocol}: power over two decades", case, server)
        for what, case in (("rows", ROWS), ("columns", COLUMNS))
        for protocol, server in (("gRPC", GRPC), ("REST", REST))
    ),
    _at_most("ONNX only: processes that load scikit-learn", 0, "", GRPC_ONNX, "sklearn"),
    _at_most("ONNX only: start to first answer", 0.8, " s", GRPC_ONNX, "start"),
    _at_most("ONNX only: RSS after 64 callers", 110, " MiB", GRPC_ONNX, RSS),
    _at_most("ONNX only, REST: start to first answer", 0.8, " s", REST_ONNX, "start"),
    _at_most("ONNX only, REST: RSS after 64 callers", 150, " MiB", REST_ONNX, RSS),
    _against(f"gRPC, scikit-learn: RSS against {THE_POST}", Limit(at_most=1.3), GRPC, POST, RSS),
    *(
        _two_cores(f"{protocol}{layout}, {says}", least, f"foretell {protocol}{layout}{kind}")
        for protocol, least in (("gRPC", 8), ("REST", 6))
        for layout in ("", ", every core")
        for says, kind in (("scikit-learn", ""), ("ONNX", ", ONNX"))
    ),
)
