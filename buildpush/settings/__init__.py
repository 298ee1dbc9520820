"""What the user wants: settings, where they were set, and what they resolve to."""
