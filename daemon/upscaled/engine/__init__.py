"""The built-in engine: a real super-resolution upscaler behind our own implementation of the service's API.

It imports nothing of ours but `upscaled.api.wire` and `upscaled.errors`, and could live in a package of its own.

    order.py       the words between the two halves: Order, Report, Upscaler
    upscale.py     Engine: the real Upscaler; render.py and below need the extra ``engine``
    app.py         the API's server side as an ASGI application, over store.py and any Upscaler
"""
