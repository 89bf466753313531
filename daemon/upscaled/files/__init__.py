"""The only code that writes, renames or deletes users' files; `upscaled.files.durable` is its front."""
