"""Feature types: statistics fitted on training rows, and the transform from cells to arrays.

Each module holds one type: a frozen `...Statistics` (what a bundle keeps), `fit` and `transform`.
"""
