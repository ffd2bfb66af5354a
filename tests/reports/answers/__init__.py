"""Answers of a model that no caller could use: wrong, invalid or dependent on other rows."""
