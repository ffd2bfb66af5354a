"""HTTP and gRPC as clients, proxies and other engines speak it."""
