"""scikit-learn estimators as runtimes: their input, their outputs, their fast paths.

The only place that knows scikit-learn's classes; may import `rows` and `errors`.
"""
