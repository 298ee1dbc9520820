"""Requests to other machines: one pool per host, one retry table, one TLS and proxy story; the only urllib3."""
