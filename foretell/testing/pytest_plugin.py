"""`pytest --foretell`: the checks of `foretell test` as tests of their own, beside a user's.

pytest loads this module in every project where Foretell is installed: it imports nothing of ours until it is asked to.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foretell.testing.case import Result
    from foretell.testing.judge import Judge
    from foretell.testing.kit import Check, Kit, KitRequest

_PATHS = {"protos": "contracts", "models": "models", "roots": "certificates to trust"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `foretell test`, each behind `--foretell`."""
    group = parser.getgroup("foretell", "whether a server does what its contract demands")
    group.addoption("--foretell", action="store_true", help="Test a server with requests made from its contract.")
    group.addoption("--foretell-model", metavar="NAME", help="Only the services that this model answers.")
    group.addoption("--foretell-target", metavar="HOST:PORT", help="A gRPC server that runs; without it, one is started.")
    group.addoption("--foretell-rest", metavar="URL", help="The REST address of that server.")
    for name, what in _PATHS.items():
        group.addoption(f"--foretell-{name}", metavar="PATH", type=Path, help=f"Where the {what} are.")
    group.addoption("--foretell-tls", action="store_true", help="The target takes encrypted calls.")


def pytest_configure(config: pytest.Config) -> None:
    """Take part where that is asked for."""
    if config.getoption("foretell"):
        config.pluginmanager.register(_Plugin(config), "foretell-kit")


class _Plugin:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._held = ExitStack()
        self._judge: Judge | None = None
        self._kit: Kit | None = None

    @pytest.hookimpl(tryfirst=True)  # Before -k and -m choose.
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """A test for each check, behind all others."""
        from foretell.testing.kit import Kit
        from foretell_contract.errors import SetupError

        try:
            self._kit = Kit(self._wish())
            ours: list[Any] = [_Item.from_parent(session, name=check.id, check=check, plugin=self) for check in self._kit.checks()]
        except SetupError as error:
            raise pytest.UsageError(f"--foretell: {error}") from None
        items.extend(ours)
        self._config.hook.pytest_collectreport(report=pytest.CollectReport("foretell", "passed", None, ours))  # Counted by it.

    def pytest_sessionfinish(self) -> None:
        """Stop the server, if one was started."""
        self._held.close()

    def judge(self) -> "Judge":
        """What checks are put to; the server is started for the first of them."""
        if self._judge is None:
            assert self._kit is not None  # noqa: S101  # There is no item without it.
            self._judge = self._held.enter_context(self._kit.judging())
        return self._judge

    def _wish(self) -> "KitRequest":
        from foretell.testing.kit import KitRequest

        def told(name: str) -> Any:
            return self._config.getoption(f"foretell_{name}")

        return KitRequest(*map(told, ("model", "target", "rest", "protos", "models", "roots", "tls")))


class _Failed(Exception):
    """The server does not do what the contract demands."""


class _Item(pytest.Item):
    """One check."""

    def __init__(self, *, check: "Check", plugin: _Plugin, **facts: Any) -> None:
        super().__init__(nodeid=f"foretell::{check.id}", **facts)
        self._check = check
        self._plugin = plugin

    def runtest(self) -> None:
        """Ask the server."""
        result = self._check.run(self._plugin.judge())
        if result.faults:
            raise _Failed("\n".join(_lines(result)))
        if result.skipped:
            pytest.skip(result.skipped)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What was sent, expected and came: the way there through our own code is of no use to anybody."""
        from foretell_contract.errors import SetupError

        if isinstance(excinfo.value, (_Failed, SetupError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Its title. Of one that ended its id pytest would replace the dots."""
        return self.path, None, f"foretell: {self.name}"


def _lines(result: "Result") -> Iterator[str]:
    from foretell.testing.test_report import lines

    yield result.why
    yield from (f"  {title:<9}{text}" for title, text in lines(result))
