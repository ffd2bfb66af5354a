"""The OpenAPI document of a contract: operations, message schemas, refusals.

May import `json` and `http`.
"""
