"""Reading a contract: services, rules, examples and docs out of `.proto` files.

Knows nothing of servers, HTTP or models. From the top down: lint, diff, `contract`, `service`, examples, rows, rules, source.
"""
