"""Train an iris classifier on centimetres, and write the model and its training data: the input of `foretell init`.

Usage: python examples/iris/raw.py [FOLDER]
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    """Write `flower.joblib` and `flower.csv` into `folder`."""
    iris = load_iris(as_frame=True)
    species = iris.target_names[iris.target]
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, species), folder / "flower.joblib")
    iris.data.assign(species=species).to_csv(folder / "flower.csv", index=False)
    print(f"wrote {folder / 'flower.joblib'} and {folder / 'flower.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/flower"))
