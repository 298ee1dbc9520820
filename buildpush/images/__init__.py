"""What an image is: names, model, archives, compression, Dockerfiles."""
