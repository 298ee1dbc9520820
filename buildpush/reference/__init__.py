"""The declarations shown: cards, explanations, the schema."""
