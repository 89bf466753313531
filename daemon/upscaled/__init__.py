"""upscaled, the upscale daemon: pictures dropped into a folder come out upscaled in another."""

__version__ = "0.1.0"
