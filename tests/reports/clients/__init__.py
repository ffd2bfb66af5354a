"""The contract for callers: downloads, generated clients, the OpenAPI document and JSON."""
