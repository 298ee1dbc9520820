"""What ``<+...>`` means: grammar, methods, and the facts about a run that it may ask for."""
