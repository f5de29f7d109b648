"""Models: encoder-combiner-decoder, the skip encoder, bundles."""
