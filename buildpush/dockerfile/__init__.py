"""What a Dockerfile says, and what is asked of an engine that builds it."""
