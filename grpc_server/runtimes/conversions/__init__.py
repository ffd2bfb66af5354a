"""Conversions of a fitted scikit-learn estimator to a faster format.

May import `formats`, `runtimes.sklearn`, `rows` and `errors`.
"""
