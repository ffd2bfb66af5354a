"""Servers that Foretell is compared with: the post's app, and servers without a model."""
