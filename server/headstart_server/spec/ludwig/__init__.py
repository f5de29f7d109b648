"""What Ludwig's files write otherwise than the typed spec, read as what it means."""
