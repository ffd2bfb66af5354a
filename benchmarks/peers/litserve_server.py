"""The model in LitServe: `python litserve_server.py MODEL PORT ROWS`, batches of up to ROWS requests; 1 is none."""

import sys
from typing import Any

import joblib
import litserve
import numpy as np


class Plain(litserve.LitAPI):
    """Each request runs the model."""

    def setup(self, _device: str) -> None:
        """Load it."""
        self.model = joblib.load(sys.argv[1])

    def decode_request(self, request):  # LitServe would take a type for that of the body.
        """Rows."""
        return np.array(request["rows"])

    def predict(self, rows: Any) -> Any:
        """Labels and probabilities, a row for each row."""
        return self.model.predict(rows), self.model.predict_proba(rows)

    def encode_response(self, output: Any) -> Any:
        """As JSON."""
        labels, probabilities = output
        return {"labels": labels.tolist(), "probabilities": probabilities.tolist()}


class Batching(Plain):
    """Requests that wait run the model together."""

    def batch(self, requests: list[Any]) -> Any:
        """All rows, and where each request ends."""
        return np.vstack(requests), np.cumsum([len(rows) for rows in requests])[:-1]

    def predict(self, together: Any) -> Any:
        """Labels and probabilities by request."""
        rows, ends = together
        return list(zip(*(np.split(found, ends) for found in super().predict(rows)), strict=True))

    def unbatch(self, output: Any) -> Any:
        """They are apart already."""
        return output


if __name__ == "__main__":
    most = int(sys.argv[3])
    api = Batching(max_batch_size=most, batch_timeout=0) if most > 1 else Plain()
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
