"""Planning: every `auto` made a value, with its origin."""
