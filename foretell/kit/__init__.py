"""The test kit: what a contract demands of a server, as cases, and whether a running one does it."""
