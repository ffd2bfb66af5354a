"""The runner of documentation blocks fails if a block does not print what the page shows."""

from pathlib import Path

import pytest

from tests.support.markdown_blocks import Block, blocks, run, same


def page(folder: Path, text: str) -> list[Block]:
    path = folder / "page.md"
    path.write_text(text)
    return blocks(path)


def test_blocks_have_line_and_output(tmp_path: Path) -> None:
    program, output = "```python\nprint(1)\n```\n", "```text\n1\n```\n"
    found = page(tmp_path, f"Text.\n\n{program}\n{output}\n{output}```console\n$ true\n```\n")
    languages = [(block.line, block.language, block.output) for block in found]
    assert languages == [(3, "python", "1\n"), (11, "text", ""), (14, "console", "")]
    assert str(found[0]) == "page.md:3 python"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```python\nprint('seen')\n```\n```text\nseen\n```\n", id="program"),
        pytest.param("```console\n$ echo one; echo two >&2\none\ntwo\n$ echo three\nthree\n```\n", id="commands"),
        pytest.param("```console\n$ echo one \\\n    two\none two\n```\n", id="backslash"),
        pytest.param("```console\n$ echo 'one\n> two'\none\ntwo\n```\n", id="prompt"),
        pytest.param('```console\n$ echo \'{"a": [1, 2]}\'\n{\n  "a": [1,2]\n}\n```\n', id="white-space"),
        pytest.param("```console\n$ echo 0.01014031674937826\n0.01014031674937831\n```\n", id="last-digits"),
        pytest.param("```console\n$ echo here OLD\nhere OLD\n```\n", id="replaced"),
    ],
)
def test_matching_output_passes(tmp_path: Path, text: str) -> None:
    for block in page(tmp_path, text):
        run(block, tmp_path, {"OLD": "new"})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```python\nprint('seen')\n```\n```text\nother\n```\n", id="program"),
        pytest.param("```python\nprint('seen')\n```\n", id="output-not-shown"),
        pytest.param("```python\nprint('seen')\nraise SystemExit(3)\n```\n```text\nseen\n```\n", id="program-fails"),
        pytest.param("```console\n$ echo one\nmore than one\n```\n", id="command"),
        pytest.param("```console\n$ echo one\n```\n", id="command-output-not-shown"),
        pytest.param("```console\n$ false\n```\n", id="command-fails"),
        pytest.param("```console\n$ true\n$ echo two\nzwei\n```\n", id="second-command"),
        pytest.param("```console\n$ echo 0.101403\n0.101405\n```\n", id="number"),
        pytest.param("```console\n$ echo 0.5 0.5\n0.5\n```\n", id="missing-number"),
    ],
)
def test_differing_output_fails(tmp_path: Path, text: str) -> None:
    (block,) = page(tmp_path, text)
    with pytest.raises((pytest.fail.Exception, AssertionError), match=r"page.md:1"):
        run(block, tmp_path)


def test_missing_tool_skips(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "```console\n$ no-such-tool --help\n```\n")
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not installed"):
        run(block, tmp_path)


def test_unknown_language_is_an_error(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "```json\n{}\n```\n")
    with pytest.raises(ValueError, match="only console and python blocks run"):
        run(block, tmp_path)


def test_output_before_a_command_is_an_error(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "```console\ncurl http://127.0.0.1\n```\n")
    with pytest.raises(ValueError, match="output without a command"):
        run(block, tmp_path)


def test_numbers_are_compared_by_value() -> None:
    assert same("1.0000001", "1.0000002")
    assert not same("1.0", "1.01")
    assert not same("version 2", "version 3")
