"""Measurements: figures on questions, speed, growth.  Not part of the program."""
