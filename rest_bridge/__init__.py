"""The thin FastAPI bridge: JSON in, gRPC out, and docs from the contract.

From the top down: `serving`, `app`, `endpoint`, openapi, `coalescer`, `caller`, `channel`, http, json, `settings`.
"""
