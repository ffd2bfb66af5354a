"""What rollouts cost the callers of production: `python -m benchmarks.rollouts`."""
