"""Local files: tables, images, and archives made of both, read as they are needed and never held whole."""
