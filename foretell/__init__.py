"""Foretell: serve a trained model from one contract, over gRPC and REST."""
