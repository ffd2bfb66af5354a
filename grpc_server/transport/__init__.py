"""Takes gRPC calls off the wire and sends their replies: `aio` on grpcio's public API, `loop` on its private completion queue.

The only room that may use private grpcio; may import `calls` and the rooms below.
"""
