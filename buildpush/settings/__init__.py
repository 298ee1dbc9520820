"""What the user wants: settings, where they were said, and what they resolve to."""
