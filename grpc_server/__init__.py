"""The gRPC server that hosts models."""

from lifecycle.polling import poll_in_place

poll_in_place()
