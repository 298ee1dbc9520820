"""Who we are at a host: connectors, vaults of secrets, Docker's files, JFrog's variables."""
