"""The thin FastAPI bridge: JSON in, gRPC out, and docs from the contract.

May import `foretell_lifecycle` and `foretell_contract`. From the top down: `serving`, `app`, `endpoint`, openapi, `coalescer`,
`channel`, http, json, `settings`.
"""
