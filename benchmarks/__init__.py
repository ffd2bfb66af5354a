"""What Foretell costs and what it is worth, measured against the app of the post that started it. `make bench` runs it."""
