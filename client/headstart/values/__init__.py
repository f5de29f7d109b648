"""Python values to messages and back: tables, specs, predictions, embeddings. No network here."""
