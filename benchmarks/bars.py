"""The bars that Foretell must meet, as data, and their evaluation on measured results."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.cases import Load
from benchmarks.growth import power, sizes
from benchmarks.rounds import ALONE, Result
from benchmarks.servers import COLUMNS, FOREST, IRIS, POST, POST_TWICE, ROWS, TWO_CORES
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

RATE, P50, P99, CPU = "per_second", "p50_ms", "p99_ms", "cpu"
GRPC, GRPC_ONNX, AIO_ONNX = "foretell gRPC", "foretell gRPC, ONNX", "foretell gRPC, aio shell, ONNX"
REST, REST_ONNX = "foretell REST", "foretell REST, ONNX"
APART, APART_ONNX = "foretell REST, two processes", "foretell REST, two processes, ONNX"
SYNC_ECHO, AIO_ECHO = "bare grpcio sync", "bare grpcio aio"


def _iris(server: str, figure: str, callers: int = 64, rows: int = 1) -> Cell:
    return Cell(IRIS, server, Load("iris", rows, callers), figure)


def _against(says: str, limit: Limit, server: str, other: str, figure: str = RATE, callers: int = 64, rows: int = 1) -> Ratio:
    """A figure of iris against the same figure of another server."""
    return Ratio(says, limit, _iris(server, figure, callers, rows), (_iris(other, figure, callers, rows),))


def _beside_model(says: str, most: float, server: str, kind: str) -> Ratio:
    """CPU of the server for 1,000 rows against the CPU of the model alone."""
    of, model = _iris(server, CPU, 1, 1_000), _iris(ALONE[kind], CPU, 1, 1_000)
    return Ratio(f"1,000 rows a request, {says}: CPU against the model alone", Limit(at_most=most), of, (model,))


def _alone_caller(says: str, server: str, kind: str) -> Ratio:
    over = (_iris(AIO_ECHO, P50, 1), _iris(ALONE[kind], P50, 1))
    return Ratio(f"gRPC, 1 caller, {says}: p50 against bare aio echo + model", Limit(at_most=1.0), _iris(server, P50, 1), over)


def _forest(says: str, least: float, server: str) -> Ratio:
    load = Load("cancer", 1, 16)
    return Ratio(says, Limit(at_least=least), Cell(FOREST, server, load, RATE), (Cell(FOREST, POST, load, RATE),))


def _two_cores(says: str, least: float, server: str) -> Ratio:
    load = Load("iris", 1, 64)
    of, over = Cell(TWO_CORES, server, load, RATE), Cell(TWO_CORES, POST_TWICE, load, RATE)
    return Ratio(
        f"two cores, nothing pinned, 64 callers, {says}: req/s against the post's, two workers", Limit(at_least=least), of, (over,)
    )


def _only(says: str, limit: Limit, server: str, figure: str) -> Ratio:
    return Ratio(says, limit, _iris(server, figure))


BARS: tuple[Bar, ...] = (
    _against("gRPC, 64 callers, scikit-learn: req/s against bare grpcio sync echo", Limit(at_least=2.2), GRPC, SYNC_ECHO),
    _against("gRPC, 64 callers, ONNX: req/s against bare grpcio sync echo", Limit(at_least=2.6), GRPC_ONNX, SYNC_ECHO),
    _against("gRPC, 64 callers, scikit-learn: p99 against the post's app", Limit(at_most=0.06), GRPC, POST, P99),
    _against("gRPC, 64 callers, ONNX: p99 against the post's app", Limit(at_most=0.06), GRPC_ONNX, POST, P99),
    _only("gRPC, 64 callers, scikit-learn: context switches a request", Limit(at_most=2, unit=""), GRPC, "switches"),
    _only("gRPC, 64 callers, ONNX: context switches a request", Limit(at_most=2, unit=""), GRPC_ONNX, "switches"),
    _against("gRPC, aio shell, 64 callers, ONNX: req/s against bare grpcio aio echo", Limit(at_least=0.6), AIO_ONNX, AIO_ECHO),
    _alone_caller("scikit-learn", GRPC, SKLEARN),
    _alone_caller("ONNX", GRPC_ONNX, ONNX),
    *(
        bar
        for says, server, apart in (("scikit-learn", REST, APART), ("ONNX", REST_ONNX, APART_ONNX))
        for bar in (
            _against(f"REST, 64 callers, {says}: req/s against the post's app", Limit(at_least=9), server, POST),
            _against(f"REST, 64 callers, {says}: p99 against the post's app", Limit(at_most=0.06), server, POST, P99),
            _against(f"REST, 16 callers, {says}: req/s against the post's app", Limit(at_least=4), server, POST, callers=16),
            _against(
                f"REST, one process, 1 caller, {says}: req/s against the post's app", Limit(at_least=3.5), server, POST, callers=1
            ),
            _against(
                f"REST, two processes, 1 caller, {says}: req/s against the post's app", Limit(at_least=1), apart, POST, callers=1
            ),
        )
    ),
    _forest("forest, accelerated, 16 callers: req/s against the post's app", 70, "foretell gRPC, auto"),
    _forest("forest, as trained, 16 callers: req/s against the post's app", 5, GRPC),
    _forest("forest, as trained, in worker processes, 16 callers: req/s against the post's app", 5, "foretell gRPC, workers"),
    *(
        Ratio(
            f"forest, as trained{says}, 16 callers: p99 of health checks meanwhile",
            Limit(at_most=20, unit=" ms"),
            Cell(FOREST, server, Load("cancer", 1, 16, probed=True), "health_p99_ms"),
        )
        for says, server in (("", GRPC), (", in worker processes", "foretell gRPC, workers"))
    ),
    _beside_model("gRPC, scikit-learn", 1.35, GRPC, SKLEARN),
    _beside_model("gRPC, ONNX", 1.8, GRPC_ONNX, ONNX),
    _beside_model("REST, scikit-learn", 2.0, REST, SKLEARN),
    *(
        _against(
            f"1,000 rows a request, {says}: req/s against the post's app", Limit(at_least=3), server, POST, callers=1, rows=1_000
        )
        for says, server in (("gRPC, scikit-learn", GRPC), ("gRPC, ONNX", GRPC_ONNX), ("REST, scikit-learn", REST))
    ),
    *(
        Growth(f"CPU of a request grows in proportion to its {what}, {protocol}: power over two decades", case, server)
        for what, case in (("rows", ROWS), ("columns", COLUMNS))
        for protocol, server in (("gRPC", GRPC), ("REST", REST))
    ),
    _only("ONNX only: processes that load scikit-learn", Limit(at_most=0, unit=""), GRPC_ONNX, "sklearn"),
    _only("ONNX only: start to first answer", Limit(at_most=0.8, unit=" s"), GRPC_ONNX, "start"),
    _only("ONNX only: RSS after 64 callers", Limit(at_most=110, unit=" MiB"), GRPC_ONNX, "rss_mib"),
    _against("gRPC, scikit-learn: RSS against the post's app", Limit(at_most=1.3), GRPC, POST, "rss_mib"),
    *(
        _two_cores(f"{protocol}{layout}, {says}", least, f"foretell {protocol}{layout}{kind}")
        for protocol, least in (("gRPC", 8), ("REST", 6))
        for layout in ("", ", every core")
        for says, kind in (("scikit-learn", ""), ("ONNX", ", ONNX"))
    ),
)
