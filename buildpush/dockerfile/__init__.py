"""Dockerfiles: reading them, checking them, and the request to an engine that builds one."""
