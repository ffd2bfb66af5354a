"""Measures Foretell against baselines: `make bench`.

"The post" is the blog post that Foretell started from. Its FastAPI app, `baselines/post_app.py`, is the base of most comparisons.
"""
