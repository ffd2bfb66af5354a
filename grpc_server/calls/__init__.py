"""One call from its bytes to its reply or refusal: handlers, predictor, batcher, admission, statuses.

Knows no transport; may import `workers` and the rooms below.
"""
