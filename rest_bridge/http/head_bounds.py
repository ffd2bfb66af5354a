"""Bounds of the bytes around a request, and the refusals that are sent before there is a request."""

import re

HEAD_BYTES = 65_536
"""Largest head of a request: the request line and the headers, without white space around a value."""

HEAD_SECONDS = 10.0
"""Longest time for a head to arrive. A connection without any request is closed after the same time."""

UNKNOWN_METHOD_LINE = re.compile(
    rb"(?:\A|\r\n\r\n|\}\s*)(?!(?:GET|HEAD|POST) )[!#$%&'*+.^_`|~\w-]+ \S+ HTTP/1\.[01]\r?\n", re.ASCII
)
"""A well-formed request line whose method is neither GET, HEAD nor POST, first in the data or behind a head or JSON object."""

# Each refusal is a status, a type and a text.
MALFORMED = 400, "malformed_request", "this is not HTTP/1.1"
UNKNOWN_METHOD = 501, "unknown_method", "the method is unknown here: predictions take POST, pages take GET and HEAD"
HEAD_TOO_LARGE = 431, "head_too_large", f"the line and the headers of a request must be at most {HEAD_BYTES} bytes"
FRAMING_TOO_LARGE = 431, "framing_too_large", f"what frames or follows the chunks of a body must be at most {HEAD_BYTES} bytes"
HEAD_TOO_SLOW = 408, "head_too_slow", f"the line and the headers of a request must arrive within {HEAD_SECONDS:g} s"
