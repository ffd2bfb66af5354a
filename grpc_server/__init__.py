"""The gRPC server that hosts models."""
