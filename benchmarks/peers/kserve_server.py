"""The model in KServe's SDK: `python kserve_server.py MODEL rest|grpc PORT`."""

import sys
from typing import Any

import joblib
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Probabilities(Model):
    """V1 over REST, and V2."""

    def __init__(self, file: str) -> None:
        super().__init__("iris")
        self.model = joblib.load(file)
        self.ready = True

    def predict(self, payload: Any, _headers: Any = None, _parameters: Any = None) -> Any:
        """Probabilities, a row for each row."""
        if not isinstance(payload, InferRequest):
            return {"predictions": self.model.predict_proba(payload["instances"]).tolist()}
        found = self.model.predict_proba(payload.inputs[0].as_numpy())
        output = InferOutput("predict_proba", list(found.shape), "FP64")
        output.set_data_from_numpy(found, binary_data=False)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    file, door, port = sys.argv[1:]
    ports = {"http_port": int(port), "enable_grpc": False} if door == "rest" else {"http_port": 0, "grpc_port": int(port)}
    ModelServer(**ports).start([Probabilities(file)])
