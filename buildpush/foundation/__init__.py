"""What every room may use: errors, events, secrets, text, state, locks, limits, documents."""
