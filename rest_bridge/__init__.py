"""The thin FastAPI bridge: JSON in, gRPC out, and docs from the contract."""

from lifecycle.polling import poll_in_place

poll_in_place()
