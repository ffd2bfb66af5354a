"""The test kit: requests made from a contract, put to a running server; `foretell test` and `pytest --foretell`.

Public for third parties; may import `serve`.
"""
