"""What the user asks for: settings, where they were set, and what they resolve to."""
