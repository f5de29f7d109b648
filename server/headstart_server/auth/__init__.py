"""Credentials to principals: a token file, JSON Web Tokens of an issuer, client certificates; and the audit log."""
