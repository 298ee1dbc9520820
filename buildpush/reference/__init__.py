"""The declarations for people and editors: cards, explanations, the schema."""
