"""The dashboard: a page that shows what goes on, served by `run` on ``dashboard.listen``.

It reads the ledger through the read models and acts through `upscaled.commands`, like the command line; it knows no
other way. A defect of it, or a port that is taken, never harms the worker.

    server       uvicorn in the daemon's loop, as one named task that mends itself
    protection   what stands in front of every page: Host, token, cross-site requests, sizes, headers
    access       the token, the cookie, the proof that a form is ours, and how often a token may be tried
    feed         what happens, to whoever is looking, and at no cost while nobody does
    site         the routes, and everything they need, put together
    pages        the pages;  orders: what their buttons do;  images: pictures and thumbnails
    view         what the templates are given;  plot: thirty days as SVG
"""
