"""Facts of the iris example. Imports nothing, because the processes of test models import it too."""

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CLASSES = ("setosa", "versicolor", "virginica")
EXAMPLE = {"sepal_length": 0.2, "sepal_width": 0.5, "petal_length": 0.8, "petal_width": 1.0}
