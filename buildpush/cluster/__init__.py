"""A Kubernetes cluster: its API as far as Jobs need it, one Job per build, and what can go wrong with one."""
