"""kaniko, in a container or as the program that is there."""
