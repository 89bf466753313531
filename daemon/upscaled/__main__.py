"""Lets `python -m upscaled` do what the command does."""

from upscaled.cli import main

if __name__ == "__main__":
    main()
