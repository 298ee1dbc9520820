"""What an image is: references, model, manifests, compression, tars."""
