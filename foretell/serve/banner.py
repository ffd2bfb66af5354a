"""What `foretell serve` prints once it is ready."""

import shlex
from typing import Any


def banner(facts: dict[str, Any]) -> str:
    """Addresses, models, and two calls to paste, from what the processes announced."""
    grpc, rest = facts["grpc_address"], f"http://{facts['http_address']}"
    told = [("gRPC", grpc), ("REST", rest), ("docs", f"{rest}/docs")]
    told += [("control", facts["control"])] * bool(facts["control"])
    told += [("control", f"{url}/docs") for url in [facts.get("control_url")] if url]
    told += [("model", model) for model in facts["models"]]
    told += [("follow", followed) for followed in facts.get("follows", ())]
    width = max(6, *(len(what) for what, _ in told))
    lines = ["Foretell is ready.", "", *(f"  {what:<{width}} {text}" for what, text in told)]
    missing = facts.get("missing")
    if missing:
        lines += ["", f"Not served: {', '.join(missing)} (no model yet; `foretell add FILE --name {missing[0]}` brings one)"]
    example = facts["example"]
    if example:
        body = shlex.quote(example["body"])
        lines += ["", "Try it:", ""]
        lines += [f"  curl {rest}{example['path']} -H 'content-type: application/json' -d {body}"]
        lines += [f"  grpcurl -plaintext -d {body} {grpc} {example['method']}"]
    return "\n".join([*lines, "", "Ctrl-C stops it."])
