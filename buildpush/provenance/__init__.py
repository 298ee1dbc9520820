"""What is known about an image, as documents that are stored beside it: provenance, SBOM, their signatures."""
