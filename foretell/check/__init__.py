"""`foretell check` and `foretell diff`: problems of contracts and their models, and what a change of a contract breaks.

May import `mlflow`, and the server's and the bridge's packages.
"""
