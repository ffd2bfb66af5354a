"""Versions of a model: added, retrained, compared, rolled back."""
