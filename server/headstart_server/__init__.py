"""The Headstart service."""
