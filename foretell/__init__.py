"""Foretell: serve a trained model from one contract, over gRPC and REST."""

from lifecycle.polling import poll_in_place

poll_in_place()
