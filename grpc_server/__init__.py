"""The gRPC server that hosts models: rooms from the top down, each of which imports only those below it.

Top: `__main__`, `serving`, `control_listener`, `server`; then services, changes, versions, shadow, loading, transport, calls,
workers, checks, store, runtimes, rows; at the bottom `settings` and `errors`.
"""
