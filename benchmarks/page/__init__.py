"""Writes what was measured as pages in Markdown."""
