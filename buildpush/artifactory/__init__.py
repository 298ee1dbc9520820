"""What is recorded: build-info, and the Artifactory that keeps it."""
