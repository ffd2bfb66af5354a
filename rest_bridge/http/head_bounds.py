"""Bounds of the bytes around a request, and the refusals that are sent before there is a request."""

HEAD_BYTES = 65_536
"""Largest head of a request: the request line and the headers, without white space around a value."""

HEAD_SECONDS = 10.0
"""Longest time for a head to arrive. A connection without any request is closed after the same time."""

# Each refusal is a status, a type and a text.
MALFORMED = 400, "malformed_request", "this is not HTTP/1.1"
HEAD_TOO_LARGE = 431, "head_too_large", f"the line and the headers of a request must be at most {HEAD_BYTES} bytes"
FRAMING_TOO_LARGE = 431, "framing_too_large", f"what frames or follows the chunks of a body must be at most {HEAD_BYTES} bytes"
HEAD_TOO_SLOW = 408, "head_too_slow", f"the line and the headers of a request must arrive within {HEAD_SECONDS:g} s"
