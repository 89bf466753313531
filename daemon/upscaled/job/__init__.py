"""The pure core: every decision about a job as a function of values. No I/O, no clock, no randomness."""
