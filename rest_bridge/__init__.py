"""The thin FastAPI bridge: JSON in, gRPC out, and docs from the contract."""
