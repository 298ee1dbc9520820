"""Large images on their way into registries, beside the clients that people know: ``nox -s bench -- push``."""
