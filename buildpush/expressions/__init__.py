"""Expressions, ``<+...>``: their grammar, their methods, and the facts about a run that they can name."""
