"""How images are pulled from registries and pushed to them."""
