"""The story of a run: what is opened, decided, built, pushed and published, and its results."""
