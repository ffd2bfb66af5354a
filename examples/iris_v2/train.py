"""Train the model of `iris.v2`, which takes centimetres and scales them itself, and write it and its golden rows.

Usage: python examples/iris_v2/train.py [FOLDER]
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

COLUMNS = ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")


def main(folder: Path) -> None:
    """Write `model.joblib` and `golden.jsonl` into `folder`."""
    iris = load_iris()
    species = iris.target_names[iris.target]
    classifier = make_pipeline(MinMaxScaler(), CalibratedClassifierCV(SVC(), ensemble=False)).fit(iris.data, species)

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(classifier, folder / "model.joblib")
    golden = np.random.default_rng(0).choice(iris.data, 20, replace=False)
    with (folder / "golden.jsonl").open("w") as file:
        for row, answer in zip(golden, classifier.predict_proba(golden), strict=True):
            line = {
                "features": dict(zip(COLUMNS, row.tolist(), strict=True)),
                "probabilities": dict(zip(classifier.classes_.tolist(), answer.tolist(), strict=True)),
            }
            file.write(json.dumps(line) + "\n")
    print(f"wrote {folder / 'model.joblib'} and {folder / 'golden.jsonl'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/iris_v2"))
