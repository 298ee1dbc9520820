"""Docker's builders: the classic one through the daemon, and buildx."""
