"""`foretell check` and `foretell diff`: problems of contracts and their models, and what a changed contract breaks.

May import `mlflow`, and the server's and the bridge's packages.
"""
