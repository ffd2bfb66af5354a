"""The model in MLServer with its own scikit-learn runtime: `python mlserver_server.py MODEL FOLDER rest|grpc PORT PROCESSES ROWS`.

PROCESSES is how many run the model beside the one that answers, ROWS the most requests that it runs together; 0 is none.
"""

import json
import os
import sys
from pathlib import Path


def write_settings(file: str, folder: Path, ports: dict[str, int], processes: int, most: int) -> None:
    """What `mlserver start` reads."""
    folder.mkdir(exist_ok=True)
    settings = ports | {"host": "127.0.0.1", "parallel_workers": processes, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(settings))
    batches = {"max_batch_size": most, "max_batch_time": 0.002} if most else {}
    model = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": file}}
    (folder / "model-settings.json").write_text(json.dumps(model | batches))


if __name__ == "__main__":
    model, name, door, port, processes, most = sys.argv[1:]
    listening = {"http_port": int(port), "grpc_port": 0} if door == "rest" else {"http_port": 0, "grpc_port": int(port)}
    write_settings(model, Path(name), listening, int(processes), int(most))
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", name])
