"""Generated from the contracts by `make generate`."""
