"""`python -m rest_bridge --target ADDR`: the bridge alone, as its container runs it."""

import foretell_lifecycle.grpc_polling  # noqa: F401  # Before all that imports grpc.

# isort: split
from foretell_lifecycle.process import Launcher, run


async def serve(launcher: Launcher) -> None:
    """Serve until asked to stop. Raises SetupError before the first request if the settings or the contract cannot be served."""
    # Imported under `run`, which refuses packages that do not work together in one line.
    from pydantic_settings import CliApp

    from foretell_contract.contract import load
    from rest_bridge.channel import open_channel
    from rest_bridge.serving import listen, serving
    from rest_bridge.settings import BridgeSettings

    settings = CliApp.run(BridgeSettings)
    listeners = listen(settings)
    contract = load(settings.protos)
    async with open_channel(settings.target) as channel, serving(settings, listeners, contract, channel) as facts:
        channel.get_state(try_to_connect=True)  # Connects now, so that no request waits for the first attempt.
        await launcher.wait_if_supervised(channel.channel_ready())
        rest = f"http://{facts['http_address']}"
        launcher.announce(facts, f"REST on {rest}, docs on {rest}/docs, calling {settings.target}")
        await launcher.wait_for_stop()


if __name__ == "__main__":
    run(serve)
