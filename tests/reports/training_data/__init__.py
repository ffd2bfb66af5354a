"""Data files and data frames as people have them, and the types of their columns."""
