"""Train the iris classifier of the quickstart, and write the model and its golden rows.

Usage: python examples/iris/train.py [FOLDER]
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVC

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def main(folder: Path) -> None:
    """Write `model.joblib` and `golden.jsonl` into `folder`."""
    iris = load_iris()
    features = minmax_scale(iris.data)
    species = iris.target_names[iris.target]
    # scikit-learn 1.11 removes SVC(probability=True); its documentation names this replacement.
    classifier = CalibratedClassifierCV(SVC(), ensemble=False)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    accuracy = cross_val_score(classifier, features, species, cv=folds)
    print(f"cross-validated accuracy: {accuracy.mean():.3f} (5 folds, standard deviation {accuracy.std():.3f})")
    classifier.fit(features, species)

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(classifier, folder / "model.joblib")
    golden = np.random.default_rng(0).choice(features, 20, replace=False)
    with (folder / "golden.jsonl").open("w") as file:
        for row, answer in zip(golden, classifier.predict_proba(golden), strict=True):
            line = {
                "features": dict(zip(COLUMNS, row.tolist(), strict=True)),
                "probabilities": dict(zip(classifier.classes_.tolist(), answer.tolist(), strict=True)),
            }
            file.write(json.dumps(line) + "\n")
    print(f"wrote {folder / 'model.joblib'} and {folder / 'golden.jsonl'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/iris"))
