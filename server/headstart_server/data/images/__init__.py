"""Images: bytes found by row, decoded, resized, augmented, and loaded ahead of the training."""
