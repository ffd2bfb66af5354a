"""`python -m benchmarks.peers`: measure the peers beside the post's app and Foretell, and write PEERS.md."""

from dataclasses import replace

from benchmarks import drafted
from benchmarks.__main__ import command, finish, interruptible, parser_of
from benchmarks.cases import Case, Load
from benchmarks.peers.page import page
from benchmarks.peers.rows import PEERS, ROWS, installed
from benchmarks.rounds import measure
from benchmarks.servers import POST, SERVERS

LOADS = tuple(Load("iris", *load) for load in ((1, 1), (1, 16), (1, 64), (1_000, 1)))
CASE = Case(PEERS, "the post's `SVC(probability=True)` on four columns, label and probabilities", (drafted.iris,), LOADS)
OURS = ("foretell serve, gRPC", "foretell serve, REST")


def main() -> None:
    """Measure with the arguments of the command line."""
    given = parser_of("python -m benchmarks.peers", "Measure other model servers beside Foretell.").parse_args()
    always = {POST, *OURS}
    ours = tuple(replace(server, cases=(PEERS,)) for server in SERVERS if server.name in always)
    peers = tuple(server for peer, server in ROWS if installed(peer) and given.only.lower() in server.name.lower())
    measured = interruptible(lambda tell: measure((CASE,), lambda _case: (*ours, *peers), given.rounds, given.seconds, tell))
    finish(measured.failures, given.out / "PEERS.md", page(measured, CASE, OURS, command("make bench-peers")))


if __name__ == "__main__":
    main()
