"""Models on disk: repository, manifests, route tables, and what else is kept beside a version.

May import `runtimes` and `rows`.
"""
