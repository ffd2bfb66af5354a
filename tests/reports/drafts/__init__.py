"""What `foretell init` drafts: names, bounds, types and classes."""
