"""Foretell: serve a trained model from one contract, over gRPC and REST."""

from pkgutil import extend_path

# Callers may generate code from foretell/v1/options.proto: `foretell.v1` is then in a folder `foretell` of theirs.
__path__ = extend_path(__path__, __name__)
