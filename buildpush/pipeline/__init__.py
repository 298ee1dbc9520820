"""The sequence of a run: context, steps, existing images, plan and results."""
