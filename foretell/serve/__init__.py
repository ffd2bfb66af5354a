"""`foretell serve`: its processes, their supervisor, and the local channel between bridge and server.

May import `versions`, `check`, `mlflow`, and the server and the bridge.
"""
