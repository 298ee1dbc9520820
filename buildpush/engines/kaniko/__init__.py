"""The engine kaniko, in a container of its own."""
