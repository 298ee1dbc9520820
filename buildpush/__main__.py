"""``python -m buildpush``."""

from buildpush.cli import main

if __name__ == "__main__":
    main()
