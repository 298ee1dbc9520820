"""Events and results, shown to people."""
