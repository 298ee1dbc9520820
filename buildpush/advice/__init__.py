"""What messages of builders, registries and pipelines mean, and what to do: one row per message."""
