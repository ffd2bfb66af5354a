"""Models on disk: the repository, manifests, route tables, and the other files beside a version.

May import `runtimes` and `rows`.
"""
