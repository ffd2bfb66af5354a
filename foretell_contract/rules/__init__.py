"""The rules of `buf.validate`: enforced by protovalidate, and read as sets of accepted values.

May import `source`, `fields`, `custom_options` and `errors`.
"""
