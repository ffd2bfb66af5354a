"""scikit-learn estimators as runtimes: their input, their outputs, the types of their columns, and faster ways to predict.

The only room that imports scikit-learn's classes beside `conversions`; may import `rows` and `errors`.
"""
