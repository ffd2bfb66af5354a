"""Runtimes of loaded models: one module a format, conversions between formats, and scikit-learn's estimators.

May import `rows` and `errors`. Packages that bring a format of their own import `foretell.runtimes` instead.
"""
