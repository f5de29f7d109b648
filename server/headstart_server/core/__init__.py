"""Errors, resource names, digests, atomic files: what every room stands on."""
