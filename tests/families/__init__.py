"""The long check of every text family of transformers."""
