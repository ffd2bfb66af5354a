"""Model formats and what runs them: one module a format, conversions between formats, scikit-learn's estimators.

May import `rows` and `errors`; third parties import `foretell.runtimes`.
"""
