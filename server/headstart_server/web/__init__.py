"""The second transport: the contract as JSON over HTTP, the page that reads it, metrics and health."""
