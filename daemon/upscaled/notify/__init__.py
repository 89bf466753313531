"""Telling people: what is told when (`decisions`, pure), to whom (`receivers`), and that it gets there (`notifier`)."""
