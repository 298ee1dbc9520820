"""How bytes travel: images out of registries and into them."""
