"""upscaled as a service of systemd: its units, where they are put, and where the key is kept.

`units` makes the text of every file, `layout` knows where each belongs, `setup` puts them there and takes them away,
`installed` tells what is there already, `keys` stores the service's key. It is a package of its own because nothing of
it is needed to upscale a picture.
"""
