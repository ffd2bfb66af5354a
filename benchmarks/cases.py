"""The cases: which models are served, and how they are loaded. A new case is one entry of CASES."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from benchmarks import drafted, servers, workloads
from benchmarks.servers import POST, SERVERS, Server
from benchmarks.workloads import ONNX, SKLEARN, TREES, Workload


@dataclass(frozen=True, slots=True)
class Load:
    """One request, repeated by a number of callers, each of which waits for its answer."""

    workload: str
    rows: int
    callers: int
    probed: bool = False
    """Whether the server's health is checked at the same time."""
    both: bool = False
    """Whether as many callers send the same over the server's other protocol at the same time."""


@dataclass(frozen=True, slots=True)
class Case:
    """A comparison of servers on the same models under the same loads."""

    name: str
    says: str
    workloads: tuple[Callable[[], Workload], ...]
    loads: tuple[Load, ...]
    alone: tuple[tuple[str, str, int], ...] = ()
    """Kind of model, workload and rows of each measurement without a server."""
    base: str = POST
    """The server that others are compared with."""
    pinned: bool = True
    """Whether server and load get one core each."""
    every_row: bool = False
    """Whether the answers to all rows of the training data are compared before the load."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of our servers, if the default settings would refuse the load."""


WIDTHS = (4, 20, 100, 500)
COUNTS = (10, 100, 1_000, 10_000, 100_000)

_LIMITS_RAISED = {
    "FORETELL_MAX_MESSAGE_BYTES": "100000000",
    "FORETELL_MAX_BODY_BYTES": "100000000",
    "FORETELL_MAX_QUEUE_ROWS": str(2 * COUNTS[-1]),  # One call may take half of the queue.
}

_CALLERS = (1, 16, 64)

CASES = (
    *(
        Case(servers.DRAFTED[name], says, (make,), tuple(Load(name, 1, callers) for callers in _CALLERS), every_row=True)
        for name, says, make in (
            ("iris", "the post's `SVC(probability=True)` on four columns", drafted.iris),
            ("forest", "100 trees on 30 columns (breast cancer)", drafted.forest),
            ("boosting", "`HistGradientBoostingClassifier` on 30 columns, a tenth of the values missing", drafted.boosting),
            ("categories", "a pipeline of encoder, scaler and `LogisticRegression` on a data frame", drafted.categories),
            ("xgboost", "`XGBClassifier` on 30 columns", drafted.xgboost),
            ("text", "`TfidfVectorizer` and `LogisticRegression` on texts of twelve words", drafted.text),
        )
    ),
    Case(
        servers.SHIPPED,
        "what `make serve` serves, whose contract is not drafted, beside the post's app with the post's model",
        (workloads.shipped, workloads.post_only),
        tuple(Load("iris", 1, callers) for callers in _CALLERS),
        base=servers.POST_OWN,
        every_row=True,
    ),
    Case(
        servers.IRIS,
        "the post's `SVC(probability=True)` on four columns",
        (workloads.iris,),
        tuple(Load("iris", *load) for load in ((1, 1), (1, 16), (1, 64), (1_000, 1), (1_000, 4))),
        tuple((kind, "iris", rows) for kind in (SKLEARN, ONNX) for rows in (1, 8, 64, 1_000)),
    ),
    Case(
        servers.FOREST,
        "100 trees on 30 columns (breast cancer)",
        (workloads.forest,),
        (Load("cancer", 1, 1), Load("cancer", 1, 16), Load("cancer", 1, 16, probed=True)),
        tuple((kind, "cancer", rows) for kind in (SKLEARN, ONNX, TREES) for rows in (1, 8, 64)),
    ),
    Case(
        servers.TWO_CORES,
        "iris, nothing pinned: the load competes with the servers for the same cores",
        (workloads.iris,),
        (Load("iris", 1, 64),),
        base=servers.POST_TWICE,
        pinned=False,
    ),
    Case(
        servers.MIXED,
        "iris, REST and gRPC at the same time, as many callers over each",
        (workloads.iris,),
        tuple(Load("iris", 1, callers, both=True) for callers in (1, 16, 64)),
        base=servers.ONE_PROCESS,
    ),
    Case(
        servers.ROWS,
        "iris, more and more rows in one request, one caller",
        (workloads.iris,),
        tuple(Load("iris", rows, 1) for rows in COUNTS),
        tuple((kind, "iris", rows) for kind in (SKLEARN, ONNX) for rows in COUNTS),
        settings=_LIMITS_RAISED,
    ),
    Case(
        servers.COLUMNS,
        "a logistic regression on more and more columns, 1,000 rows in one request, one caller",
        tuple(partial(workloads.linear, width) for width in WIDTHS),
        tuple(Load(f"linear{width}", 1_000, 1) for width in WIDTHS),
        tuple((SKLEARN, f"linear{width}", 1_000) for width in WIDTHS),
        settings=_LIMITS_RAISED,
    ),
)


def chosen(case: Case, only: str = "", among: tuple[Server, ...] = SERVERS) -> tuple[Server, ...]:
    """The servers of a case whose names, or that of the case, contain `only`, and its base; none without the former."""
    able = [server for server in among if case.name in server.cases and not server.missing]
    named = [server for server in able if only.lower() in f"{case.name}, {case.says}: {server.name}".lower()]
    return tuple(server for server in able if named and (server in named or server.name == case.base))
