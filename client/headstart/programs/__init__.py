"""Operations as programs: what is called, in which order, and what happens when a stream drops. See `wire.steps`."""
