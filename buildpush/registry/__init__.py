"""How bytes travel: credentials, uploads, pushes and pulls."""
