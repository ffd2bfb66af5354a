"""Kinds of faults that users of model servers report, each as a table of cases."""
