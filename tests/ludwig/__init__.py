"""What docs/ludwig.md says of Ludwig's files, written from the tables that read them."""
