"""Every block of the client pages runs against a real server and prints what the page shows."""

import pytest

from tests.support.markdown_blocks import Block, addresses, blocks, run
from tests.support.processes import ROOT, Foretell

pytestmark = pytest.mark.slow

PAGES = (ROOT / "clients/README.md", ROOT / "clients/python/README.md")


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page)], ids=str)
def test_block_prints_what_the_page_shows(block: Block, running: Foretell) -> None:
    run(block, ROOT, addresses(running))


def test_page_shows_every_client() -> None:
    shown = "\n".join(block.text for block in blocks(PAGES[0]))
    for tool in ("IrisClient", "AsyncIrisClient", "curl -s", "grpcurl", "buf curl"):
        assert tool in shown
