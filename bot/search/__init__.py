"""Finds the entries that a question means: words, vectors, what was learned, probabilities."""
