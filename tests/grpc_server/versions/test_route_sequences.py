"""After any route changes, refusals and restarts, a rollback leads to what answered before, and a start to what answered last.

Real route tables, served models and route changes; only the gates are fake, because each candidate process takes a second. Each run
tries a few sequences, `HYPOTHESIS_PROFILE=thorough` hundreds.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from grpc_server.changes.route_changes import ChangeRequest, ChangeResult, RouteChanger
from grpc_server.checks.add_model import add_model
from grpc_server.checks.gates import Gate
from grpc_server.errors import ChangeRefused, ModelError
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, RouteTable
from grpc_server.store.route_table_files import ROUTES, RouteTableFiles
from grpc_server.versions.startup import open_served_model
from tests.support.effort import tries
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.candidates import graph
from tests.support.servers.faulty_servers import Faults, FaultyLoader, LocalServers, RunningModel

MOST_VERSIONS = 4


class RouteMachine(RuleBasedStateMachine):
    """`trail` has the versions that answered for production and were not rolled back from, the present one last.

    `named` is production on record, if no server has answered with it yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="foretell-")
        self.root = Path(self._folder.name)
        self.repository = Repository(self.root)
        self.files = RouteTableFiles(self.repository)
        self.faults = Faults()
        self.running: dict[str, RunningModel] = {}
        self.trail: list[str] = []
        self.named: str | None = None
        self.last = ""

    def teardown(self) -> None:
        for server in self.running.values():
            server.served.close(10)
        self._folder.cleanup()

    @property
    def routes(self) -> RouteTable:
        return self.files.read("iris")

    @property
    def versions(self) -> list[str]:
        return self.repository.versions("iris")

    def before(self, trail: list[str], present: str | None) -> list[str]:
        """Versions that answered before, the latest first."""
        return [version for version in dict.fromkeys(reversed(trail)) if version not in (present, *self.routes.retired)]

    def changed(self, change: Callable[[RouteChanger], ChangeResult]) -> ChangeResult:
        request = ChangeRequest("kim", check=False)
        return change(RouteChanger("iris", ServerSettings(models=self.root), LocalServers(self.running), request))

    def answered(self, version: str) -> None:
        """A version became production by a promotion, or by a start."""
        self.named = None
        if self.trail[-1:] != [version]:
            self.trail.append(version)

    def went_back_to(self, version: str) -> None:
        self.named = None
        while self.trail[-1] != version:
            self.trail.pop()

    @initialize()
    def add_first(self) -> None:
        self.add()
        self.trail = self.versions

    @precondition(lambda self: len(self.versions) < MOST_VERSIONS)
    @rule()
    def add(self) -> None:
        before, file = self.routes.aliases, self.root / "model.onnx"
        file.write_bytes(graph(len(self.versions) / 100))
        add_model(self.repository, file, "iris", COLUMNS, classes=CLASSES)
        assert self.routes.aliases == (before or {PRODUCTION: self.last or "1"})

    @rule(data=st.data(), gate=st.sampled_from([*Gate]), servers=st.sampled_from(["a", "b", "ab"]))
    def break_or_mend(self, data: st.DataObject, gate: Gate, servers: str) -> None:
        version = data.draw(st.sampled_from(self.versions))
        if any((server, version) in self.faults for server in "ab"):
            for server in "ab":
                self.faults.pop((server, version), None)
        else:
            servers = "ab" if version in self.trail else servers  # Servers that disagree have no common past.
            self.faults.update(dict.fromkeys([(server, version) for server in servers], gate))

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self.versions))
        before = self.routes
        try:
            self.changed(lambda changer: changer.promote(version, PRODUCTION))
        except ModelError:
            assert any((server, version) in self.faults for server in self.running)
            assert self.routes.aliases == before.aliases
            return
        if self.running or not self.last:
            self.answered(version)
        else:
            self.named = None if version == self.trail[-1] else version

    @rule()
    def roll_back(self) -> None:
        production = self.routes.aliases.get(PRODUCTION, self.last)
        expected = self.before(self.trail, production)
        try:
            self.changed(lambda changer: changer.rollback(PRODUCTION))
        except ChangeRefused:
            assert expected == []
        except ModelError:
            assert any(version == expected[0] for _, version in self.faults)
            assert self.routes.aliases[PRODUCTION] == production
            self.went_back_to(expected[0])
            self.trail.pop()
            self.answered(production)
        else:
            assert self.routes.aliases[PRODUCTION] == expected[0]
            self.went_back_to(expected[0])

    @rule(data=st.data(), share=st.sampled_from([0.0, 0.5]))
    def canary(self, data: st.DataObject, share: float) -> None:
        version = data.draw(st.sampled_from(self.versions))
        before = self.routes
        try:
            self.changed(lambda changer: changer.canary(version, share))
        except ModelError:
            assert self.routes.canary == before.canary
        assert self.routes.aliases in (before.aliases, {PRODUCTION: self.last})

    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self.versions))
        try:
            self.changed(lambda changer: changer.retire(version))
        except ChangeRefused:
            assert version in (self.routes.aliases[PRODUCTION], *self.routes.retired)

    @precondition(lambda self: len(self.running) < 2)
    @rule()
    def start(self) -> None:
        name = "b" if "a" in self.running else "a"
        production = self.routes.aliases.get(PRODUCTION, self.trail[-1])
        if self.running and (name, production) in self.faults:
            return  # It would answer with another version than its neighbour, which its record keeps.
        choices = [production, *self.before(self.trail, production)]
        good = [version for version in choices if (name, version) not in self.faults]
        try:
            served = open_served_model(FaultyLoader(self.root, name, self.faults))
        except ModelError as error:
            texts = f"model 'iris' version {production}", f"(gate {error.gate}"
            assert (good, [text in str(error) for text in texts]) == ([], [True, True])  # noqa: PT017  # Many starts succeed.
            return
        if not self.running:
            served.record_fallback()
        self.running[name] = server = RunningModel(name, served)
        server.settle()
        assert server.answering == good[0]
        if good[0] == production:
            self.answered(production)
        else:
            self.went_back_to(good[0])

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self.running.pop(data.draw(st.sampled_from(sorted(self.running)))).served.close(10)

    @rule()
    def lose_the_record(self) -> None:
        (self.root / "iris" / ROUTES).unlink(missing_ok=True)
        if not self.last:
            self.files.ensure_production("iris", self.trail[-1], "a test")
        for server in self.running.values():
            server.settle()
        self.trail, self.named = [self.last or self.trail[-1]], None

    @invariant()
    def servers_answer_with_the_record(self) -> None:
        for server in self.running.values():
            server.settle()
            assert server.answering == self.trail[-1]
            self.last = server.answering
        if PRODUCTION in self.routes.aliases:
            assert self.routes.aliases[PRODUCTION] == (self.named or self.trail[-1])


TestRouteSequences = RouteMachine.TestCase
TestRouteSequences.settings = settings(max_examples=tries(15, 300), stateful_step_count=tries(20, 30), deadline=None)
