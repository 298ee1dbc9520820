"""The story of a run: context, steps, images that exist already, plan and results."""
