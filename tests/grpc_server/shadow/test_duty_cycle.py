"""The rest of a shadow between two calls, on clocks that the test sets."""

import pytest

from grpc_server.shadow.shadow import DutyCycle


@pytest.mark.parametrize(("busy", "rest"), [(0.0, 0.0), (0.25, 0.5), (1.0, 2.0), (8.0, 2.0)])
def test_rest_grows_with_the_servers_cpu_time(busy: float, rest: float) -> None:
    seconds = [100.0]
    cycle = DutyCycle(lambda: seconds[0], lambda: busy * seconds[0])
    for _ in range(2):
        seconds[0] += 3.0
        assert cycle.rest(0.01) == pytest.approx(rest)


def test_only_the_time_since_the_last_run_counts() -> None:
    times = iter([(0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
    now = [(0.0, 0.0)]
    cycle = DutyCycle(lambda: now[0][0], lambda: now[0][1])
    rests = []
    for now[0] in times:
        rests.append(cycle.rest(1.0))
    assert rests == [0.0, 200.0, 0.0]
