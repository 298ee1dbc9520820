"""Requests to other machines: a pool per host, a retry table, TLS and proxies; the only user of urllib3."""
